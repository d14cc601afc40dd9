/** Whether a text has a format of our own schemas; formats that are not known have every text. */
export function checkText(format: unknown, text: string): boolean {
  switch (format) {
    case 'date':
      return isDay(text);
    case 'date-time':
      return isInstant(text);
    case 'uri':
      return URL.canParse(text);
    case 'email':
      return /^[^\s@]+@[^\s@]+$/.test(text);
    default:
      return true;
  }
}

function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  // A day that is none has rolled over into another month.
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** RFC 3339, section 5.6. */
function isInstant(text: string): boolean {
  const [, day] = /^(\d{4}-\d{2}-\d{2})[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/.exec(text) ?? [];
  return day !== undefined && isDay(day) && !Number.isNaN(Date.parse(text));
}
