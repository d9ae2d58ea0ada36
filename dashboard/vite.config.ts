import { defineConfig } from "vite";

// `npm run dev` shows a running process: ROPEWAY_ADMIN=http://127.0.0.1:9900 unless said otherwise.
const admin = process.env.ROPEWAY_ADMIN ?? "http://127.0.0.1:9900";

// The guard of the admin listener wants its own address as the Origin of a change.
const forwarded = { target: admin, changeOrigin: true, headers: { origin: admin } };

export default defineConfig({
  base: "./",
  build: {
    outDir: "../crates/ropeway-control/dashboard/dist",
    emptyOutDir: true,
    // What is in the bundle is by others, too; their licences want to be passed on.
    license: { fileName: "licenses.txt" },
    target: "es2022",
    // The policy of the page allows no data: scripts or styles, and there is no old browser to load for.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  server: { proxy: { "/status": forwarded, "/api": forwarded } },
});
