import { parseArgs } from 'node:util';
import { campaign, type Summary } from './campaign.ts';

// node test/fuzz/scan.ts [--inputs N] [--seed S] [--seconds T]: README.md beside this file.

const { values } = parseArgs({ options: { inputs: { type: 'string' }, seed: { type: 'string' }, seconds: { type: 'string' } } });

function numberOf(name: keyof typeof values, otherwise: number): number {
  const number = Number(values[name] ?? otherwise);
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`--${name} must be a whole number`);
  return number;
}

const seed = numberOf('seed', 1);
const began = performance.now();

function report(summary: Summary): void {
  const { inputs, requests, incoming, refused, disagreement, corpus, reached, unreached } = summary;
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  console.log(
    `${seconds} s, seed ${seed}: ${inputs} inputs, ${disagreement === undefined ? 0 : 1} disagreements; accepted ${requests} requests and ${incoming} of upstreams, ` +
      `${refused} left to the parser; ${corpus} kept, ${reached} counts of blocks reached, ${unreached.length} blocks never run`,
  );
}

const inputs = numberOf('inputs', 10_000_000);
const summary = await campaign({
  inputs,
  seed,
  seconds: numberOf('seconds', 3600),
  round: 500_000,
  explored: Math.min(2000, Math.ceil(inputs / 200)),
  onRound: report,
});
for (const block of summary.unreached) console.log(`never run: ${block}`);
if (summary.disagreement !== undefined) {
  console.log(`DISAGREEMENT: ${summary.disagreement.message}`);
  process.exitCode = 1;
}
