// URLs, as `io` takes them: complete, or without scheme, host or both.

/** What is in a URL, `//host`, `host:port`, `/namespace` or nothing; the rest is the page's. */
export function parseUrl(url = "") {
  const [, scheme = location.protocol, host, nsp, query] =
    /^(?:(\w+:)?\/\/)?([^/?#]*)([^?#]*)\??([^#]*)/.exec(url);
  const secure = /s:$/.test(scheme);
  const { hostname, port } = new URL(`http${secure ? "s" : ""}://${host || location.host}`);
  return { secure, hostname, port, nsp: nsp || "/", query };
}
