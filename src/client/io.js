// `io(url, options)`: the socket of a namespace. It has the rest of the client as properties.

import { Manager } from "./manager.js";
import { Socket } from "./socket.js";
import { parseUrl } from "./url.js";

const managers = {};

/**
 * The socket of the namespace that `url` names. Sockets of one origin and path share a connection,
 * unless the namespace is taken, or `forceNew` or `multiplex: false` ask for another.
 */
export function io(url, opts) {
  if (typeof url === "object") [url, opts] = [undefined, url];
  url ??= "/";
  opts ??= {};
  // As it is written: a URL would change it.
  const nsp = url.replace(/^((\w+:)?\/\/)?[^/?#]*|[?#].*/g, "") || "/";
  const key = parseUrl(url).origin + opts.path;
  const isAlone = opts.forceNew || opts.multiplex === false || managers[key]?.nsps[nsp];
  const open = () => new Manager(url, opts);
  const manager = isAlone ? open() : (managers[key] ??= open());
  return manager.socket(nsp, opts);
}

/** The revision of the Socket.IO protocol. */
export const protocol = 5;

Object.assign(io, { Manager, Socket, connect: io, io, protocol });
