// URLs, as `io` takes them: complete, or without scheme, host or both.

/** `//host`, `host:port`, `/namespace` or nothing as a URL; the rest is the page's. */
export function parseUrl(url) {
  return new URL(/^\/|:\/\//.test(url) ? url : "//" + (url || location.host), location);
}

/** Whether it is `https:` or `wss:`. */
export const isSecure = (protocol) => /[ps]s:/.test(protocol);
