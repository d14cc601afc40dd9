// What Linux tells about processes: CPU time and memory from /proc, cores for taskset.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** /proc counts in ticks of USER_HZ, which is 100 on every Linux that Node runs on. Milliseconds. */
const TICK = 10;

export interface CpuTime {
  /** Milliseconds. */
  readonly user: number;
  readonly system: number;
}

/** CPU time of a process and of all below it, those that ended and were waited for included. */
export function cpuOf(pid: number): CpuTime {
  return timeOf(treeOf(pid));
}

/** The same of the one process, without those below it. */
export function cpuAloneOf(pid: number): CpuTime {
  return timeOf([pid], false);
}

function timeOf(pids: readonly number[], withEnded = true): CpuTime {
  let user = 0;
  let system = 0;
  for (const each of pids) {
    const fields = statOf(each);
    // utime and cutime, stime and cstime of proc(5), counted from the state behind the name.
    user += (Number(fields[11]) + (withEnded ? Number(fields[13]) : 0)) * TICK;
    system += (Number(fields[12]) + (withEnded ? Number(fields[14]) : 0)) * TICK;
  }
  return { user, system };
}

/** Resident memory in bytes; of the one process, not of its children. */
export function residentOf(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`process ${pid} has ended`);
  return Number(kibibytes) * 1024;
}

function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    // Ended since its parent was asked; its time is in the parent's figures by now.
    return new Array<string>(15).fill('0');
  }
}

function treeOf(root: number): readonly number[] {
  const pids = [root];
  for (const pid of pids) {
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      if (children !== '') pids.push(...children.split(' ').map(Number));
    } catch {
      // Ended meanwhile.
    }
  }
  return pids;
}

/** The one under test has a core to itself; whoever loads it and whoever it calls share the other. */
export const CORE = { subject: 0, rest: 1 } as const;
export type Core = (typeof CORE)[keyof typeof CORE];

const canPin = cpus().length > 1 && spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0;

/** The command line that runs `command` on one core, where the machine has two and `taskset`. */
export function pinned(core: Core, command: readonly string[]): readonly string[] {
  return canPin ? ['taskset', '-c', String(core), ...command] : command;
}

export function machineText(): string {
  const [first] = cpus();
  return `Node ${process.version}, ${cpus().length} × ${first?.model ?? 'unknown'}, ${process.platform}${canPin ? '' : ', not pinned to cores'}`;
}
