import { svelte } from "@sveltejs/vite-plugin-svelte";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const built = "../src/cryptowatcher/web/built";
const SHRINKS = /\.(html|js|css|svg|webmanifest)$/;

/** Leaves `.br` and `.gz` beside every file of text, so that the server only has to choose. */
function shrunk() {
  return {
    name: "shrunk",
    async closeBundle() {
      for (const entry of await readdir(built, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !SHRINKS.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const body = await readFile(path);
        await writeFile(`${path}.br`, brotliCompressSync(body));
        await writeFile(`${path}.gz`, gzipSync(body, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte(), shrunk()],
  build: {
    outDir: built,
    emptyOutDir: true,
    target: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0, // the page's policy takes nothing from data: addresses
    modulePreload: { polyfill: false },
  },
  server: {
    // `cryptowatcher demo` beside `npm run dev`
    proxy: { "/api": "http://127.0.0.1:8000", "/docs": "http://127.0.0.1:8000" },
  },
});
