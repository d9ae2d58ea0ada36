// Writes down what the bundle was built from, and what came out: `cargo xtask tidy` notices when either changes
// without the other. The format is that of sha256sum, with paths from the root of the repository.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const RECORD = "crates/ropeway-control/dashboard/bundle.sha256";

// The same lists as in xtask/src/tidy/bundle.rs.
const FILES = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
const FOLDERS = ["dashboard/public", "dashboard/src", "crates/ropeway-control/dashboard/dist"];

const paths = [...FILES.map((name) => `dashboard/${name}`), ...FOLDERS.flatMap(filesIn)].sort();
writeFileSync(ROOT + RECORD, paths.map((path) => `${hash(path)}  ${path}\n`).join(""));

function filesIn(folder) {
  return readdirSync(ROOT + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.slice(ROOT.length));
}

function hash(path) {
  return createHash("sha256").update(readFileSync(ROOT + path)).digest("hex");
}
