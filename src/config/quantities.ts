import { err, ok, type Result } from '../core/result.ts';

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Ten years: far above any use, and safely a whole number of milliseconds. */
const LONGEST_MS = 3650 * 86_400_000;

/** Milliseconds of `250ms`, `30s`, `5m`, `1h`, `90d`; fractions are fine. `0` needs no unit (configuration.md). */
export function parseDuration(text: string | number): Result<number, string> {
  if (text === 0 || text === '0') return ok(0);
  const match = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(String(text));
  const unit = DURATION_UNITS[match?.[2] ?? ''];
  if (unit === undefined) return err(/^\d+(\.\d+)?$/.test(String(text)) ? 'has no unit' : 'is no duration');
  const value = Math.round(Number(match?.[1]) * unit);
  return value <= LONGEST_MS ? ok(value) : err('is longer than 3650d');
}

/** The shortest exact text of a duration in milliseconds. */
export function formatDuration(ms: number): string {
  return inLargestUnit(ms, DURATION_UNITS) ?? `${ms}ms`;
}

/** Bytes of a whole number, or of `64KiB`, `4MiB`, `1GiB`, `512B` (configuration.md). */
export function parseSize(text: string | number): Result<number, string> {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)(B|KiB|MiB|GiB)?$/.exec(String(text));
  const unit = SIZE_UNITS[match?.[2] ?? 'B'];
  if (match === null || unit === undefined) return err('is no size');
  const value = Number(match[1]) * unit;
  if (!Number.isInteger(value)) return err('is no whole number of bytes');
  return Number.isSafeInteger(value) ? ok(value) : err('is too large');
}

/** The shortest exact text of a number of bytes; a bare number below 1 KiB. */
export function formatSize(bytes: number): string {
  const { B: _, ...units } = SIZE_UNITS;
  return inLargestUnit(bytes, units) ?? String(bytes);
}

function inLargestUnit(value: number, units: Readonly<Record<string, number>>): string | undefined {
  if (value === 0) return undefined;
  let best: string | undefined;
  for (const [unit, factor] of Object.entries(units)) if (value % factor === 0) best = `${value / factor}${unit}`;
  return best;
}
