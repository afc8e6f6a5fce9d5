// Listeners by event name, in the order in which they were added. What everything else here is.

import { FULL } from "./features.js";

export class Emitter {
  _listeners = { __proto__: null };

  on(event, listener) {
    (this._listeners[event] ??= []).push(listener);
    return this;
  }

  once(event, listener) {
    const once = (...args) => {
      this.off(event, once);
      listener.apply(this, args);
    };
    once.fn = listener;
    return this.on(event, once);
  }

  /** Removes one listener, all of an event, or all: what counts is how many arguments there are. */
  off(event, listener) {
    const { length } = arguments;
    if (!length) this._listeners = { __proto__: null };
    else if (length < 2) delete this._listeners[event];
    else {
      const listeners = this.listeners(event);
      const found = listeners.find((it) => it === listener || it.fn === listener);
      if (found) listeners.splice(listeners.indexOf(found), 1);
    }
    return this;
  }

  listeners(event) {
    return this._listeners[event] ?? [];
  }

  hasListeners(event) {
    return !!this.listeners(event).length;
  }

  /** Calls the listeners of now; `emit`, by a name that sockets do not need for sending. */
  _fire(event, ...args) {
    callAll(this.listeners(event), this, args);
    return this;
  }
}

const own = Emitter.prototype;
own.emit = own._fire;
own.removeListener = own.removeAllListeners = own.off;
if (FULL) {
  own.addEventListener = own.on;
  own.removeEventListener = own.off;
}

/** Calls each function; what one throws is reported, and stops neither the next nor us. */
export function callAll(functions, self, args) {
  for (const it of [...functions]) {
    try {
      it.apply(self, args);
    } catch (err) {
      reportError(err);
    }
  }
}
