/*
 * Run by npm after an install in the clone, before packing, and for npm run build. Where the compiler is absent (npm ci
 * --omit=dev) there is nothing to build with; a build that is there already is used as it is.
 */

const { spawnSync } = require('node:child_process');
const { existsSync, renameSync, rmSync } = require('node:fs');
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
  // Aside, then in one step: a build that fails leaves the last one, and nothing of an older one is published along.
  const next = join(root, `.dist-${process.pid}`);
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', next], { stdio: 'inherit', cwd: root });
  if (status === 0) {
    rmSync(dist, { recursive: true, force: true });
    renameSync(next, dist);
  } else {
    rmSync(next, { recursive: true, force: true });
    process.exitCode = 1;
  }
}
