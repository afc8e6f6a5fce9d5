// The WebSocket transport: one WebSocket message is one packet.

import { Transport, toFrame, toText } from "./transport.js";

export class WebSocketTransport extends Transport {
  get name() {
    return "websocket";
  }

  open() {
    const { protocols, timestampRequests } = this.opts;
    try {
      this.ws = new WebSocket(this._url("ws", timestampRequests), protocols);
    } catch (err) {
      this._owner._onError(err);
      return;
    }
    Object.assign(this.ws, {
      binaryType: "arraybuffer",
      onopen: () => {
        this.writable = true;
        this._owner?._onOpen?.();
      },
      onmessage: ({ data }) => this._onFrame(data),
      onerror: (event) => this._onError("websocket error", event),
      onclose: (context) => this._owner?._onClose(
        "transport close", { description: "websocket connection closed", context }),
    });
  }

  async send(packets) {
    const { ws } = this;
    this.writable = false;
    const frames = this.opts.forceBase64
      ? await Promise.all(packets.map(toText))
      : packets.map(toFrame);
    for (const frame of frames) ws.send(frame);
    await undefined;
    this._onDrain(packets.length);
  }

  close() {
    this.ws?.close();
  }
}
