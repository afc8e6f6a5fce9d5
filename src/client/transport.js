// What carries the packets of a session: base of the classes that do. `send` may be called while
// `writable`; then the owner's `_onDrain` hears how many packets have left.

/** The types of packets by their numbers; `b`, which is none, is a message in base64. */
const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

export class Transport {
  writable = false;

  constructor(socket, opts) {
    this.socket = this._owner = socket;
    this.opts = opts;
  }

  /** Closes, and tells nobody anything any more. */
  _leave() {
    this._owner = undefined;
    this.close();
  }

  /** Where to connect, with what is unique to this request if it should be `stamped`. */
  _url(scheme, stamped) {
    const { hostname, id, port, secure } = this.socket;
    const {
      addTrailingSlash = true, forceBase64, path = "/socket.io", query, timestampParam = "t",
    } = this.opts;
    const params = new URLSearchParams(query);
    const ours = {
      EIO: 4,
      transport: this.name,
      sid: id,
      b64: forceBase64 && 1,
      // So that no cache can answer it.
      [timestampParam]: stamped && Math.random(),
    };
    for (const name in ours) if (ours[name]) params.set(name, ours[name]);
    const fullPath = path.replace(/\/?$/, addTrailingSlash ? "/" : "");
    return `${scheme}${secure ? "s" : ""}://${hostname}:${port}${fullPath}?${params}`;
  }

  _onFrame(frame) {
    const isText = typeof frame === "string";
    const data = isText ? frame.slice(1) : frame;
    if (isText && frame[0] === "b") this._onFrame(fromBase64(data));
    else this._owner?._onPacket({ type: isText ? TYPES[frame[0]] : "message", data });
  }

  _onError(message, description, context) {
    const type = "TransportError";
    this._owner?._onError(Object.assign(new Error(message), { type, description, context }));
  }

  _onDrain(count) {
    this.writable = true;
    this._owner?._onDrain?.(count);
  }
}

/** A packet as it travels: a text whose first character is its type, or the bytes of a message. */
export function toFrame({ type, data = "" }) {
  return typeof data === "string" ? TYPES.indexOf(type) + data : data;
}

/** The same as a text, for what carries only texts: bytes become `b` and base64. */
export function toText(packet) {
  const frame = toFrame(packet);
  return typeof frame === "string" ? frame : new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve("b" + (reader.result.split(",")[1] ?? ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(new Blob([frame]));
  });
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
}
