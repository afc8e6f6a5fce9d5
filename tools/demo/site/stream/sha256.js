/*
 * SHA-256 of bytes as they come (FIPS 180-4). The browser's own wants all of them at once, and
 * only lends itself to secure pages.
 *
 *   const hash = new Sha256();  hash.update(bytes);  hash.hex()   // hex ends it
 */
"use strict";

const Sha256 = (() => {
  const PRIMES = [];
  for (let n = 2; PRIMES.length < 64; n++) {
    if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
  }
  /** The first 32 bits of the fraction of a root. */
  const fraction = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32);
  const ROUND = Uint32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
  const START = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

  return class Sha256 {
    #state = Uint32Array.from(START);
    #words = new Uint32Array(64);
    #block = new Uint8Array(64);
    #bytes = 0;

    update(bytes) {
      let at = 0;
      const begun = this.#bytes % 64;
      this.#bytes += bytes.length;
      if (begun) {
        const part = bytes.subarray(0, 64 - begun);
        this.#block.set(part, begun);
        if (begun + part.length < 64) return;
        this.#mix(this.#block, 0);
        at = part.length;
      }
      for (; at + 64 <= bytes.length; at += 64) this.#mix(bytes, at);
      this.#block.set(bytes.subarray(at));
    }

    hex() {
      const bits = this.#bytes * 8;
      // A one, zeros, and the length in bits.
      const end = new Uint8Array((this.#bytes % 64 < 56 ? 64 : 128) - (this.#bytes % 64));
      end[0] = 0x80;
      const view = new DataView(end.buffer);
      view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
      view.setUint32(end.length - 4, bits % 2 ** 32);
      this.update(end);
      return Array.from(this.#state, (word) => word.toString(16).padStart(8, "0")).join("");
    }

    #mix(bytes, at) {
      const w = this.#words;
      for (let i = 0; i < 16; i++, at += 4) {
        w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      }
      for (let i = 16; i < 64; i++) {
        const x = w[i - 15];
        const y = w[i - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
      }
      const state = this.#state;
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i++) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + t1) | 0;
        d = c;
        c = b;
        b = a;
        a = (t1 + t2) | 0;
      }
      state[0] += a;
      state[1] += b;
      state[2] += c;
      state[3] += d;
      state[4] += e;
      state[5] += f;
      state[6] += g;
      state[7] += h;
    }
  };
})();
