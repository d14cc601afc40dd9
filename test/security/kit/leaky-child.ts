// A child that cannot keep a secret: prints its environment and its own words to standard error in many forms, then serves, and
// dies in the middle of a call. Argument `die`: ends before it serves.
const mine = process.env.CHILD_SECRET ?? '';
const multiline = process.env.CHILD_KEY ?? '';
const say = (text: string) => process.stderr.write(`${text}\n`);

say(`CHILD_SECRET=${mine}`);
say(`starting with the key ${mine}!`);
say(JSON.stringify(process.env));
say(multiline);
process.stderr.write(`unfinished ${mine}`);
if (process.argv.includes('die')) process.exit(4);
await import('../../fixtures/legacy/server.ts');
