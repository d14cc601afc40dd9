import { Client } from './client.ts';
import { Connection } from './connection.ts';
import type { Script } from './script.ts';

/** Opens `sessions` sessions over the plan's number of sockets, which are closed at the end; nobody ends the sessions. */
export async function openIdle(script: Script, sessions: number, calls: boolean): Promise<void> {
  let left = sessions;
  const work = async () => {
    const connection = await Connection.open(script.url);
    while (left-- > 0) {
      const client = await Client.over(connection, script);
      if (calls) await client.call();
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: script.plan.clients }, work));
}
