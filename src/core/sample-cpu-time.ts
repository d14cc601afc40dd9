/**
 * Milliseconds of CPU that work takes on this thread. Tests that hold work to a bound count these: what other processes of the
 * machine do meanwhile is not the work's.
 */
export function cpuMsOf(work: () => void): number {
  const started = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(started);
  return (user + system) / 1000;
}
