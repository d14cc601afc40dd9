/** The formats that a text of a form may have (2025-11-25, "Elicitation"), checked for plain mistakes only: the server that asked has the last word. */
const FORMATS: ReadonlyMap<unknown, (text: string) => boolean> = new Map([
  ['email', (text: string) => /^[^\s@]+@[^\s@]+$/.test(text)],
  ['uri', (text: string) => /^[A-Za-z][A-Za-z0-9+.-]*:\S+$/.test(text)],
  ['date', isDay],
  ['date-time', isInstant],
]);

/** Whether a text has a format; formats that are not known have every text. */
export function isFormat(text: string, format: unknown): boolean {
  return FORMATS.get(format)?.(text) ?? true;
}

function isDay(text: string): boolean {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  if (year === undefined) return false;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  // A day that is none has rolled over into another month.
  return date.getUTCMonth() + 1 === Number(month);
}

/** RFC 3339, section 5.6; what date pickers leave out (seconds, zone) may be absent. */
function isInstant(text: string): boolean {
  const [, day, hour, minute, second] = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?$/.exec(text) ?? [];
  return day !== undefined && isDay(day) && Number(hour) < 24 && Number(minute) < 60 && Number(second ?? 0) <= 60;
}
