'use strict';

/*
 * Run by npm after an install in the clone and before packing. Where the compiler is absent (npm ci --omit=dev) there is
 * nothing to build with; a build that is there already is used as it is.
 */

const { spawnSync } = require('node:child_process');
const { existsSync, rmSync } = require('node:fs');
const { dirname, join } = require('node:path');

const root = join(__dirname, '..');
const dist = join(root, 'dist');

function compiler() {
  try {
    return join(dirname(require.resolve('typescript/package.json', { paths: [root] })), 'bin', 'tsc');
  } catch {
    return undefined;
  }
}

const tsc = compiler();
if (tsc === undefined) {
  const built = existsSync(join(dist, 'cli', 'main.js'));
  console.log(built ? 'prepare: no TypeScript here; the build in dist is used.' : 'prepare: no TypeScript here; nothing was built.');
} else {
  // What an older build left behind would be published along.
  rmSync(dist, { recursive: true, force: true });
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit', cwd: root });
  process.exitCode = status ?? 1;
}
