// What stands around the gateway: upstreams, floors.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Era } from '../src/core/mcp.ts';
import type { Child } from './children.ts';
import { Client } from './load/client.ts';
import { Script } from './load/script.ts';
import { CORE } from './machine.ts';
import type { Run } from './run.ts';

export const STDIO_SERVER = join(import.meta.dirname, 'upstream/stdio.ts');
export const TOKEN = 'token-of-the-bench-0123456789abcdef';
/** Names of upstreams have three characters: what the floor is sent is as long as what the gateway is sent. */
const PREFIX = 'x_flr_';

/** A server that can be loaded. */
export interface Target extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly token: string;
  /** The exposed name of the tool `echo` there. */
  readonly tool: string;
}

export function target(child: Child, url: string, tool: string): Target {
  return { url, pid: child.pid, token: TOKEN, tool, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

/** The echo server over HTTP, both eras. */
export async function httpUpstream(run: Run, tools = 40): Promise<Target> {
  const child = run.start({ script: join(import.meta.dirname, 'upstream/http.ts'), args: ['--tools', String(tools)], core: CORE.rest });
  const { port } = await child.hears<{ port: number }>();
  return target(child, `http://127.0.0.1:${port}/mcp`, 'echo');
}

export function httpFloor(run: Run, upstream: Target): Promise<Target> {
  return floor(run, 'http.ts', ['--upstream', upstream.url, '--prefix', PREFIX]);
}

/** With a child of its own, or one for each session, whose CPU time is counted as its own. */
export function stdioFloor(run: Run, children: 'shared' | 'apart' = 'shared'): Promise<Target> {
  return floor(run, 'stdio.ts', ['--child', STDIO_SERVER, '--prefix', PREFIX, ...(children === 'apart' ? ['--apart'] : [])]);
}

/** A server that gives the list of `served` back, byte for byte. */
export async function bareServer(run: Run, served: Target, era: Era): Promise<Target> {
  const file = join(run.folder, `list-${era}.json`);
  await writeFile(file, await listOf(served, era));
  return floor(run, 'bare.ts', ['--answer', file]);
}

async function floor(run: Run, script: string, args: readonly string[]): Promise<Target> {
  const child = run.start({ script: join(import.meta.dirname, 'floor', script), args, core: CORE.subject });
  const { port } = await child.hears<{ port: number }>();
  return target(child, `http://127.0.0.1:${port}/mcp`, `${PREFIX}echo`);
}

async function listOf({ url, token }: Target, era: Era): Promise<Buffer> {
  const work = {
    transport: 'http' as const,
    clients: 1,
    text: 0,
    size: 0,
    events: 0,
    speech: 'progress' as const,
    eventSize: 0,
    rate: undefined,
    watch: undefined,
  };
  const client = await Client.open(new Script({ ...work, url, token, era, method: 'tools/list', tool: '' }));
  const { raw, at } = await client.call();
  client.close();
  return raw.subarray(at);
}

/** Entries of `upstreams`, by kind. Names have three characters. */
export const entry = {
  modernHttp: ({ url }: Target) => ({ name: 'mod', type: 'streamable-http', url, protocol: '2026-07-28' }),
  legacyHttp: ({ url }: Target) => ({ name: 'leg', type: 'streamable-http', url, protocol: '2025-11-25' }),
  modernStdio: () => ({ name: 'pip', type: 'stdio', command: process.execPath, args: [STDIO_SERVER], protocol: '2026-07-28' }),
  // The floor has one child for all; so has this one.
  legacyStdio: () => ({ name: 'old', type: 'stdio', command: process.execPath, args: [STDIO_SERVER], protocol: '2025-11-25', sharing: 'shared' }),
} as const;
