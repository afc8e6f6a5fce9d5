/*
 * Bundles the browser client: src/client/*.js become the files of src/client/dist, which the crate
 * embeds and which are committed, so that building emio needs no Node.
 *
 *     npm --prefix tools/client ci
 *     npm --prefix tools/client run build      writes them, and prints what they weigh
 *     npm --prefix tools/client run check      compares them with what would be written
 *
 * Not here: the client itself, and tests of it. What always holds: the same sources give the same
 * files, and a file that outgrew its limit is never written. Compressed files are compared by their
 * content, because another zlib may find other bytes for it.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import {
  brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync,
} from "node:zlib";

import { rollup } from "rollup";
import { minify } from "terser";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
const SOURCE = join(ROOT, "src/client");
const DIST = join(SOURCE, "dist");
const BANNER = "/*! emio (MIT) */";

/** A classic script defines the global `io`; `gzipBytesMax` is the limit that the build obeys. */
const BUNDLES = [
  { name: "socket.io.js", entry: "index.js", isClassic: true },
  { name: "socket.io.min.js", entry: "index.js", isClassic: true, gzipBytesMax: 6_000 },
  { name: "socket.io.esm.min.js", entry: "index.js", gzipBytesMax: 6_000 },
  {
    name: "socket.io.websocket.min.js",
    entry: "websocket_only.js",
    isClassic: true,
    gzipBytesMax: 3_500,
  },
];

/**
 * The options of terser: those that make the smallest file by gzip -9, found by trying each of them.
 * `unsafe` and `pure_getters` are so for code that changes built-in prototypes, or reads a property
 * for what its getter does; the client does neither. Not on: `booleans_as_integers`, because options
 * and JSON tell `true` from 1, and `unsafe_comps`, because NaN is compared.
 *
 * Of properties only those that begin with an underscore are renamed, in all files alike, but not
 * what travels or is the language's. Private ones (#) always are.
 */
const TERSER = {
  ecma: 2022,
  toplevel: true,
  compress: {
    passes: 3,
    pure_getters: true,
    unsafe: true,
    // Statements are more alike than expressions with commas.
    sequences: false,
    lhs_constants: false,
  },
  mangle: { properties: { regex: /^_/, reserved: ["_placeholder", "__proto__"] } },
  format: { comments: false },
};

const COMPRESSIONS = {
  ".gz": { compress: gzip, decompress: gunzipSync },
  ".br": { compress: brotli, decompress: brotliDecompressSync },
};

/** What makes a classic script of an entry: the global, whose properties are all that it has. */
const inMemory = {
  name: "in-memory",
  resolveId: (id, importer) => join(importer ? dirname(importer) : SOURCE, id),
  load(id) {
    const [, entry] = /^classic\.(.*)$/.exec(basename(id)) ?? [];
    return entry ? `import { io } from "./${entry}"; globalThis.io = io;` : null;
  },
};

/** One word for all variables: `const` is longer, and two words compress worse than one. */
const onlyLet = {
  name: "only-let",
  renderChunk(code) {
    const starts = [];
    const visit = (node) => {
      if (node.kind === "const") starts.push(node.start);
      for (const child of Object.values(node)) {
        if (typeof child === "object" && child !== null) visit(child);
      }
    };
    visit(this.parse(code));
    // As many letters as before: the source map still fits.
    for (const at of starts) code = `${code.slice(0, at)}let  ${code.slice(at + "const".length)}`;
    return { code, map: null };
  },
};

/** All files by name. `names` is how terser remembers which properties it has renamed. */
async function bundleAll() {
  const files = new Map();
  const names = { props: undefined };
  for (const bundle of BUNDLES) {
    const { code, map } = await bundleOne(bundle, names);
    for (const [name, text] of [[bundle.name, code], [`${bundle.name}.map`, map]]) {
      const content = Buffer.from(text);
      files.set(name, content);
      for (const extension in COMPRESSIONS) {
        files.set(name + extension, COMPRESSIONS[extension].compress(content));
      }
    }
  }
  return files;
}

/** In the WebSocket-only bundle `a_websocket_only.js`, if there is one, is taken for `a.js`. */
const websocketOnly = {
  name: "websocket-only",
  resolveId(id, importer) {
    const path = importer && join(dirname(importer), id.replace(/\.js$/, "_websocket_only.js"));
    return path && existsSync(path) ? path : null;
  },
};

async function bundleOne({ name, entry, isClassic }, names) {
  const isReadable = !name.endsWith(".min.js");
  const plugins = [inMemory];
  if (entry === "websocket_only.js") plugins.unshift(websocketOnly);
  if (!isReadable) plugins.push(onlyLet);
  const build = await rollup({
    input: isClassic ? `classic.${entry}` : entry,
    plugins,
    // A cycle among modules, or a name that nothing exports, is a mistake and no matter of taste.
    onwarn: (warning) => {
      throw new Error(warning.message);
    },
  });
  const { output } = await build.generate({
    file: join(DIST, name),
    format: isClassic ? "iife" : "es",
    banner: isReadable ? BANNER : "",
    sourcemap: isReadable || "hidden",
    generatedCode: { preset: "es2015", symbols: false },
    exports: isClassic ? "none" : "named",
    // Nobody enumerates or extends it, and a frozen object takes words.
    freeze: false,
    externalLiveBindings: false,
  });
  await build.close();
  const [{ code, map }] = output;
  if (isReadable) return { code, map: map.toString() };
  const cache = { props: names.props };
  const mini = await minify({ [name]: code }, {
    ...TERSER,
    module: !isClassic,
    nameCache: cache,
    sourceMap: { content: map, filename: name, url: `${name}.map`, includeSources: true },
  });
  names.props = cache.props;
  return mini;
}

function gzip(content) {
  const bytes = gzipSync(content, { level: 9 });
  // The header's last byte is the system it was made on, which is nobody's business. RFC 1952.
  bytes[9] = 255;
  return bytes;
}

function brotli(content) {
  return brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });
}

/** Prints what each script weighs; whether all obey their limits. */
function weigh(files) {
  let obey = true;
  console.log(`${"".padEnd(28)}${"raw".padStart(8)}${"gzip -9".padStart(9)}${"brotli".padStart(8)}`);
  for (const { name, gzipBytesMax } of BUNDLES) {
    const [raw, gz, br] = ["", ".gz", ".br"].map((it) => files.get(name + it).length);
    const line = name.padEnd(28) + `${raw}`.padStart(8) + `${gz}`.padStart(9) + `${br}`.padStart(8);
    const exceeds = gz > gzipBytesMax;
    console.log(exceeds ? `${line}  exceeds ${gzipBytesMax} bytes by gzip -9` : line);
    if (exceeds) obey = false;
  }
  return obey;
}

async function write(files) {
  await rm(DIST, { recursive: true, force: true });
  await mkdir(DIST, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(DIST, name), bytes);
}

/** Whether the files that are there are those that would be written; says which are not. */
async function compare(files) {
  const there = existsSync(DIST) ? await readdir(DIST) : [];
  let same = true;
  for (const name of new Set([...files.keys(), ...there].sort())) {
    const path = relative(ROOT, join(DIST, name));
    let fault;
    if (!files.has(name)) fault = "is none of the client's files";
    else if (!there.includes(name)) fault = "is missing";
    else if (!(await isSame(name, files.get(name)))) fault = "differs from its sources";
    if (!fault) continue;
    console.log(`${path} ${fault}`);
    same = false;
  }
  if (!same) console.log("to mend it: npm --prefix tools/client run build");
  return same;
}

async function isSame(name, wanted) {
  const found = await readFile(join(DIST, name));
  const compression = COMPRESSIONS[name.slice(-3)];
  if (!compression) return found.equals(wanted);
  try {
    return compression.decompress(found).equals(compression.decompress(wanted));
  } catch {
    return false;
  }
}

const files = await bundleAll();
const obey = weigh(files);
if (process.argv.includes("--check")) {
  process.exitCode = (await compare(files)) && obey ? 0 : 1;
} else if (obey) {
  await write(files);
} else {
  process.exitCode = 1;
}
