// URLs, as `io` takes them: complete, or without scheme, host or both.

/** `//host`, `host:port`, `/namespace` or nothing as a URL; the rest is the page's. */
export function parseUrl(url) {
  return new URL(/^(\w+:)?\//.test(url) ? url : "//" + (url || location.host), location);
}
