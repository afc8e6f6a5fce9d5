/*
 * What all pages share: the header with the menu of demos, the state of the connection, and the
 * source of the demo. Not here: any event of a demo. The page says which demo it is:
 *
 *   <body data-demo="hugs">
 *     <header id="shell"></header>
 *
 * and loads this script before /socket.io/socket.io.js and its own, all of them `defer`.
 *
 *   shell.options()        what to connect with: io("/hugs", shell.options()); the page's address
 *                          chooses by ?transport=polling | websocket | upgrade
 *   shell.watch(socket)    shows the state and the transport of this socket in the header
 *   shell.element(tag, className, text)      an element; the text is set as text
 *   shell.avatar(name)     the first letter of a name in a disc of the name's colour
 *   shell.hue(name)        that colour, as an angle
 *
 * It uses nothing of emio's client that the official one does not have.
 */
"use strict";

const shell = (() => {
  /** All demos, in the order of the menu. A demo of several pages lists the others in `also`. */
  const DEMOS = [
    { id: "chat", title: "Chat", also: ["simple"] },
    { id: "hugs", title: "Hugs" },
    { id: "tweets", title: "Tweets" },
    { id: "dashboard", title: "Dashboard" },
    { id: "stream", title: "Stream" },
    { id: "whiteboard", title: "Whiteboard" },
    { id: "inside", title: "Inside" },
  ];

  const TRANSPORTS = {
    upgrade: {
      transports: ["polling", "websocket"],
      title: "Begin with polling, move to WebSocket",
    },
    websocket: { transports: ["websocket"], title: "WebSocket from the start" },
    polling: { transports: ["polling"], title: "HTTP long-polling only" },
  };

  const asked = new URLSearchParams(location.search).get("transport");
  const choice = Object.hasOwn(TRANSPORTS, asked ?? "") ? asked : "upgrade";
  const { demo } = document.body.dataset;
  const $ = (id) => document.getElementById(id);

  function options() {
    return { transports: TRANSPORTS[choice].transports };
  }

  // Elements.

  function element(tag, className = "", text = "") {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  /** The same with attributes and children, for what is made here. */
  function build(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** A drawing of paths on a square of `size`. */
  function icon(size, ...paths) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
    svg.setAttribute("aria-hidden", "true");
    for (const [tag, attributes] of paths) {
      const part = document.createElementNS(svg.namespaceURI, tag);
      for (const name in attributes) part.setAttribute(name, attributes[name]);
      svg.append(part);
    }
    return svg;
  }

  function logo() {
    const svg = icon(32,
      ["rect", { width: 32, height: 32, rx: 9 }],
      ["path", { d: "M23 12a8.2 8.2 0 1 0 1 6" }],
      ["circle", { cx: 16, cy: 16, r: 2.6 }]);
    svg.setAttribute("class", "logo");
    return svg;
  }

  function hue(name) {
    let sum = 0;
    for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 360;
    return sum;
  }

  function avatar(name) {
    const made = element("span", "avatar", [...name][0]?.toUpperCase());
    made.ariaHidden = "true";
    made.style.setProperty("--hue", hue(name));
    return made;
  }

  // Header.

  function fillHeader() {
    const home = build("a", { class: "home", href: "/" }, logo(), "emio");
    const menu = build("nav", { id: "menu", popover: "", "aria-label": "Demos" },
      ...DEMOS.map(({ id, title, also = [] }) => {
        const link = build("a", { href: `/${id}/` }, title);
        if (id === demo || also.includes(demo)) link.ariaCurrent = "page";
        return link;
      }));
    const menuButton = build("button",
      { id: "menu-button", class: "bar-button", popovertarget: "menu", "aria-label": "All demos" },
      icon(24, ["path", { d: "M4 7h16M4 12h16M4 17h16" }]));
    $("shell").append(home, menu, element("span", "space"));
    if (demo) $("shell").append(...connectionParts(), ...sourceParts());
    $("shell").append(menuButton);
  }

  // Connection.

  function connectionParts() {
    const button = build("button", {
      id: "status", class: "bar-button", "data-state": "connecting",
      popovertarget: "connection", "aria-label": "Connection",
    }, element("i", "dot"),
    build("b", { id: "state", class: "state" }, "connecting"),
    element("span", "over", "over"),
    build("b", { id: "transport" }, options().transports[0]));
    button.hidden = true;

    const links = Object.entries(TRANSPORTS).map(([name, { title }]) => {
      const link = build("a", { href: `?transport=${name}`, title }, name);
      if (name === choice) link.ariaCurrent = "page";
      return link;
    });
    const popover = build("div", { id: "connection", popover: "" },
      build("p", { id: "connection-text" }),
      build("div", { class: "choices", role: "group", "aria-label": "Transports to use" },
        ...links),
      element("p", "", "How the next connection is made: over HTTP long-polling, over a " +
        "WebSocket, or from one to the other."));
    // A live region counts only while it is displayed, which a popover mostly is not.
    return [build("p", { id: "said", class: "sr", role: "status" }), button, popover];
  }

  function watch(socket) {
    const showState = (state) => {
      $("status").dataset.state = state;
      $("state").textContent = state;
      showTransport();
    };
    const showTransport = () => {
      const transport = socket.io.engine?.transport?.name;
      if (transport) $("transport").textContent = transport;
      const state = $("state").textContent;
      const upgraded = socket.connected && transport !== options().transports[0];
      const over = socket.connected ? ` over ${transport}` : "";
      const text = `The page is ${state}${over}${upgraded ? ", upgraded from polling" : ""}.`;
      if ($("said").textContent === text) return;
      $("said").textContent = text;
      $("connection-text").textContent = text;
    };
    const showConnected = () => {
      showState("connected");
      socket.io.engine.on("upgrade", showTransport);
    };
    $("status").hidden = false;
    socket.on("connect", showConnected);
    socket.on("disconnect", () => showState("disconnected"));
    socket.on("connect_error", () => showState("reconnecting"));
    socket.io.on("reconnect_attempt", () => showState("reconnecting"));
    if (socket.connected) showConnected();
  }

  // Source.

  const KEYWORDS = {
    rs: "as async await break const continue crate dyn else enum false fn for if impl in let " +
      "loop match mod move mut pub ref return self static struct super trait true type use " +
      "where while",
    js: "async await break case catch class const continue delete else export extends false " +
      "finally for function if import in instanceof let new null of return static super switch " +
      "this throw true try typeof undefined void while yield",
  };
  /** What has a colour: a comment, a text, or a word and whether it is called. */
  const TOKENS = {
    // A character is no text if it is the name of a lifetime.
    rs: token(/\/\/[^\n]*/, /b?"(?:[^"\\]|\\[^])*"|'(?:[^'\\\n]|\\[^'\n]+)'/, /!?\(|::</),
    js: token(/\/\/[^\n]*|\/\*[^]*?\*\//, /"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[^])*`/, /\(/),
  };

  function token(comment, text, call) {
    const word = /\b[A-Za-z_$][\w$]*/;
    return new RegExp(
      `(${comment.source})|(${text.source})|(${word.source})(?=(${call.source})?)`, "g");
  }

  /** The text as nodes; a span around whatever has a colour. */
  function highlight(text, language) {
    const nodes = [];
    const keywords = new Set(KEYWORDS[language].split(" "));
    let end = 0;
    for (const match of text.matchAll(TOKENS[language])) {
      const [whole, comment, string, word, call] = match;
      let kind;
      if (comment) kind = "c";
      else if (string) kind = "s";
      else if (keywords.has(word)) kind = "k";
      else if (/^[A-Z]/.test(word)) kind = "t";
      else if (call) kind = "f";
      if (!kind) continue;
      nodes.push(text.slice(end, match.index), element("span", kind, whole));
      end = match.index + whole.length;
    }
    nodes.push(text.slice(end));
    return nodes;
  }

  function sourceParts() {
    const files = { [`${demo}.rs`]: `/source/${demo}.rs`, [`${demo}.js`]: `/${demo}/${demo}.js` };
    const code = build("pre", { id: "source-text", tabindex: "0", "aria-label": "Source" });
    const plain = build("a", { class: "plain", target: "_blank" }, "Plain file");
    const close = build("button", { class: "tool", "aria-label": "Close" },
      icon(24, ["path", { d: "M6 6l12 12M18 6L6 18" }]));
    const tabs = build("div", { class: "choices", role: "group", "aria-label": "File" });
    const dialog = build("dialog", { id: "source", "aria-labelledby": "source-title" },
      build("header", {}, build("h2", { id: "source-title" }, "Source"), tabs, plain, close), code);

    const show = async (name) => {
      for (const tab of tabs.children) tab.ariaPressed = String(tab.textContent === name);
      plain.href = files[name];
      let nodes;
      try {
        const response = await fetch(files[name]);
        if (!response.ok) throw new Error(response.statusText);
        nodes = highlight(await response.text(), name.split(".").pop());
      } catch {
        nodes = ["The source could not be loaded."];
      }
      // Whoever pressed another tab meanwhile sees that one.
      if (plain.getAttribute("href") !== files[name]) return;
      code.replaceChildren(...nodes);
      code.scrollTop = 0;
    };
    for (const name of Object.keys(files)) {
      const tab = build("button", { type: "button", "aria-pressed": "false" }, name);
      tab.onclick = () => show(name);
      tabs.append(tab);
    }
    close.onclick = () => dialog.close();
    // A press beside the dialog is one on its backdrop.
    dialog.onclick = (event) => {
      if (event.target === dialog) dialog.close();
    };

    const button = build("button",
      { id: "source-button", class: "bar-button", "aria-label": "Source" },
      icon(24, ["path", { d: "M8.5 7l-5 5 5 5M15.5 7l5 5-5 5" }]), element("span", "", "Source"));
    button.onclick = () => {
      dialog.showModal();
      show(`${demo}.rs`);
    };
    return [button, dialog];
  }

  fillHeader();
  return { options, watch, element, avatar, hue };
})();
