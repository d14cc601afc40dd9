import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Finding, Order } from './explorer.ts';
import { nextInput } from './made-input.ts';
import { Random } from './random.ts';
import { Disagreement, judgeIncoming, judgeRequest } from './verdict.ts';

export interface Campaign {
  readonly inputs: number;
  readonly seed: number;
  /** It ends when these are over, however many inputs are left. */
  readonly seconds: number;
  /** Inputs between two looks at what they reach. */
  readonly round: number;
  /** Inputs of such a look: each costs milliseconds. */
  readonly explored: number;
  readonly onRound?: (summary: Summary) => void;
}

export interface Summary {
  readonly inputs: number;
  /** Accepted by `scanRequest`, and by `scanIncoming`; each was read by the parser too. */
  readonly requests: number;
  readonly incoming: number;
  /** Left to the parser by both. */
  readonly refused: number;
  readonly disagreement: Disagreement | undefined;
  /** Inputs kept because they reached something new. */
  readonly corpus: number;
  readonly reached: number;
  readonly unreached: readonly string[];
}

/** What clients and servers send, to begin with. */
const SAMPLES = [
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_b","arguments":{"q":"x\\n","n":[1,-2.5e+3,true,null,{}]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"progressToken":"t"}}}',
  ' { "method" : "initialize", "id" : "a", "jsonrpc" : "2.0" }\n',
  '{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"{\\"a\\":[\\"b\\\\\\\\\\"]}"}],"isError":false,"structuredContent":{"a":{}}}}',
  `{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"${'\\"k\\":'.repeat(120)}"}]}}`,
  `{"jsonrpc":"2.0","id":3,"result":{"a":"${'\\"'.repeat(200)}`,
  '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":0.5,"total":1,"message":"é"}}',
  '{"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"no"}}',
];

/** Runs inputs until one is read differently, all are done, or time is over. The seed repeats a run, unless time ended it. */
export async function campaign({ inputs, seed, seconds, round, explored, onRound }: Campaign): Promise<Summary> {
  const worker = new Worker(new URL('./explorer.ts', import.meta.url));
  const ends = performance.now() + seconds * 1000;
  const random = new Random(seed);
  const corpus = SAMPLES.map((text) => Buffer.from(text));
  let known: readonly Uint8Array[] = corpus.slice();
  let summary: Summary = {
    inputs: 0,
    requests: 0,
    incoming: 0,
    refused: 0,
    disagreement: undefined,
    corpus: corpus.length,
    reached: 0,
    unreached: [],
  };
  try {
    while (summary.inputs < inputs && summary.disagreement === undefined && performance.now() < ends) {
      const { kept, reached, unreached } = await findingOf(worker, { seed: random.below(2 ** 31), inputs: explored, known });
      known = [];
      for (const bytes of kept) corpus.push(Buffer.from(bytes));
      const counts = judged(random, corpus, Math.min(round, inputs - summary.inputs));
      summary = {
        inputs: summary.inputs + counts.inputs,
        requests: summary.requests + counts.requests,
        incoming: summary.incoming + counts.incoming,
        refused: summary.refused + counts.refused,
        disagreement: counts.disagreement,
        corpus: corpus.length,
        reached,
        unreached,
      };
      onRound?.(summary);
    }
  } finally {
    await worker.terminate();
  }
  return summary;
}

async function findingOf(worker: Worker, order: Order): Promise<Finding> {
  worker.postMessage(order);
  const [finding] = (await once(worker, 'message')) as [Finding];
  return finding;
}

function judged(
  random: Random,
  corpus: readonly Buffer[],
  inputs: number,
): Pick<Summary, 'inputs' | 'requests' | 'incoming' | 'refused' | 'disagreement'> {
  const counts = { inputs: 0, requests: 0, incoming: 0, refused: 0 };
  try {
    while (counts.inputs < inputs) {
      const bytes = nextInput(random, corpus);
      counts.inputs++;
      const isRequest = judgeRequest(bytes) === 'accepted';
      const isIncoming = judgeIncoming(bytes) === 'accepted';
      if (isRequest) counts.requests++;
      if (isIncoming) counts.incoming++;
      if (!isRequest && !isIncoming) counts.refused++;
    }
  } catch (error) {
    if (error instanceof Disagreement) return { ...counts, disagreement: error };
    throw error;
  }
  return { ...counts, disagreement: undefined };
}
