import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const command = fileURLToPath(new URL('./scan.ts', import.meta.url));

// A smoke of the run that README.md documents; it fails with the exit code.
it('reads 20,000 inputs alike, and keeps those that reach something new', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [command, '--inputs', '20000', '--seed', '1', '--seconds', '60']);
  const figures = stdout.match(
    /20000 inputs, 0 disagreements; accepted (?<requests>\d+) requests and (?<incoming>\d+) of upstreams, (?<refused>\d+) left to the parser; (?<kept>\d+) kept, (?<reached>\d+) counts/,
  )?.groups;
  expect(Number(figures?.requests)).toBeGreaterThan(1000);
  expect(Number(figures?.incoming)).toBeGreaterThan(1000);
  expect(Number(figures?.refused)).toBeGreaterThan(2000);
  expect(Number(figures?.kept)).toBeGreaterThan(20);
  expect(Number(figures?.reached)).toBeGreaterThan(300);
});
