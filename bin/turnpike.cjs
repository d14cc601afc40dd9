#!/usr/bin/env node
// biome-ignore-all lint/style/useNodejsImportProtocol: Node before 14.18 does not know the prefix, and must be told what is needed too.
// biome-ignore-all lint/style/useTemplate: one way of writing texts in a file that old parsers read.

/*
 * The bootstrap: written so that any Node from 12 on can run it, it loads nothing of ours before the version is known. A Node
 * that is too old hands over to the one that npm installed beside us, where there is one.
 */

const fs = require('fs');
const path = require('path');

const NEEDED = 24;
const ENTRY = path.join(__dirname, '..', 'dist', 'cli', 'main.js');

function fail(text) {
  process.stderr.write('turnpike: ' + text + '\n');
  process.exit(1);
}

function needs() {
  return 'needs Node ' + NEEDED + ' or newer; this is Node ' + process.versions.node + '. Install one from https://nodejs.org';
}

/** The Node of our optional dependency for this machine, or undefined. */
function bundledNode() {
  try {
    const manifest = require.resolve('node-' + process.platform + '-' + process.arch + '/package.json');
    const file = path.join(path.dirname(manifest), 'bin', 'node');
    fs.accessSync(file, fs.constants.X_OK);
    return fs.realpathSync(file);
  } catch {
    return undefined;
  }
}

/** Runs this file again by another Node. The IPC channel tells the child when we are gone, even by kill -9. */
function handOver(node) {
  const child = require('child_process').spawn(node, process.execArgv.concat([__filename], process.argv.slice(2)), {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => fail(needs() + ' (' + node + ' cannot be run: ' + error.code + ').'));
  child.on('exit', (code, signal) => {
    for (const name of signals) process.removeListener(name, forward);
    if (signal === null) process.exit(code === null ? 1 : code);
    // Whoever waits for us sees what ended the child.
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(1), 1000);
  });
}

/*
 * The shape of what process.nextTick queues is kept alive. Once no such thing is there when the heap is collected, V8 forgets the shape,
 * and the code that makes the next ones, optimized or not, goes the slow way for good; docs/adr/0016 says what that costs.
 */
let queued;
process.nextTick(() => {
  queued = require('async_hooks').executionAsyncResource();
});
process.on('exit', () => queued);

if (parseInt(process.versions.node, 10) < NEEDED) {
  const node = bundledNode();
  // A bundled Node that is itself too old must not call itself for ever.
  if (node === undefined || process.execPath === node) fail(needs() + '.');
  else handOver(node);
} else if (!fs.existsSync(ENTRY)) {
  fail('is not built. Run npm run build in ' + path.dirname(__dirname) + '.');
} else {
  import(require('url').pathToFileURL(ENTRY).href).then(
    (entry) => entry.main(),
    (error) => fail('cannot be loaded: ' + error.message),
  );
}
