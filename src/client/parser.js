// Socket.IO packets as messages and back: `<type>[<attachments>-][<nsp>,][<id>][<json>]`, then one
// message of bytes for each attachment. Socket.IO protocol, revision 5.
//
// The `parser` option takes another pair of these two classes.

import { Emitter } from "./emitter.js";

export const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3, CONNECT_ERROR = 4;

/** What an EVENT or ACK with attachments adds to its type. */
const BINARY = 3;

export const isReserved = (event) =>
  /^(connect(_error)?|disconnect(ing)?|(new|remove)Listener)$/.test(event);

const isEventOrAck = (type) => type === EVENT || type === ACK;

export class Encoder {
  /** The messages of a packet. */
  encode({ type, nsp, id = "", data }) {
    const attachments = [];
    const json = JSON.stringify(data, isEventOrAck(type) ? function (key, value) {
      // `value` is what toJSON() made of it, which some byte arrays have.
      const raw = this[key];
      return raw instanceof ArrayBuffer || ArrayBuffer.isView(raw) || raw instanceof Blob
        ? { _placeholder: true, num: attachments.push(raw) - 1 }
        : value;
    } : null) ?? "";
    const { length } = attachments;
    const head = length ? type + BINARY + (length + "-") : type;
    return [head + (nsp === "/" ? "" : nsp + ",") + id + json, ...attachments];
  }
}

/** Fires `decoded` with each packet, as its last message is added. */
export class Decoder extends Emitter {
  #head; // of a packet that waits for attachments
  #attachments;

  /** Throws what the server did wrong. */
  add(message) {
    const isText = typeof message === "string";
    // Texts begin packets, bytes continue them.
    if (isText === !!this.#head) fail();
    if (isText) {
      this.#head =
        /^([0-6])(?:([1-9]\d*)-)?(?:(\/[^,]*),?)?(\d+)?(.*)$/s.exec(message) ?? fail();
      this.#attachments = [];
    } else this.#attachments.push(message);
    const [, kind, count, nsp = "/", id, json] = this.#head;
    // Some types have attachments, and the others have none.
    if (!count === kind > 4) fail();
    const attachments = this.#attachments;
    if (attachments.length < count) return;
    this.destroy();
    const type = count ? kind - BINARY : +kind;
    const attach = (key, value) =>
      // A number, and no name of what every array has.
      value?._placeholder === true
        ? attachments[value.num === +value.num && value.num] ?? fail() : value;
    const data = json ? JSON.parse(json, count && attach) : undefined;
    if (Array.isArray(data) !== isEventOrAck(type)) fail();
    // The name of an event is a string or a number.
    if (type === EVENT && (!/^[sn]/.test(typeof data[0]) || isReserved(data[0]))) fail();
    this._fire("decoded", { type, nsp, id: id && +id, data });
  }

  /** Forgets a packet that waits for attachments. */
  destroy() {
    this.#head = undefined;
  }
}

function fail() {
  throw new Error("invalid packet");
}
