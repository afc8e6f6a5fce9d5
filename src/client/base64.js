// Packets as texts, for what carries only texts: bytes become `b` and base64.

import { toFrame } from "./transport.js";

export function toText(packet) {
  const frame = toFrame(packet);
  return typeof frame === "string" ? frame : new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve("b" + (reader.result.split(",")[1] ?? ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(new Blob([frame]));
  });
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
}
