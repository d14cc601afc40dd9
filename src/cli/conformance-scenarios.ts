import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import { answersTo, type ScriptedClient } from './scripted-client.ts';

type Scenario = (client: ScriptedClient, context: JsonObject) => Promise<void>;

/** What the scripted client does in each client scenario of the suite that is not about OAuth. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  initialize: async (client) => {
    await client.request('tools/list');
  },
  tools_call: async (client) => {
    await client.request('tools/list');
    await client.call('add_numbers', { a: 5, b: 3 });
  },
  'elicitation-sep1034-client-defaults': async (client) => {
    await client.request('tools/list');
    await client.call('test_client_elicitation_defaults');
  },
  'sse-retry': async (client) => {
    await client.request('tools/list');
    await client.call('test_reconnection');
  },
  'request-metadata': async (client) => {
    await client.request('tools/list');
  },
  'sep-2322-client-request-state': async (client) => {
    await client.request('tools/list');
    // Another call comes between the rounds of the first: nothing of one may reach the other.
    const asked = await client.request('tools/call', { name: 'test_mrtr_echo_state', arguments: {} });
    await client.call('test_mrtr_unrelated');
    await client.request('tools/call', { name: 'test_mrtr_echo_state', arguments: {}, ...answersTo(asked) });
    await client.call('test_mrtr_no_state');
    await client.call('test_mrtr_no_result_type');
  },
  'http-standard-headers': async (client) => {
    for (const tool of await names(client, 'tools/list', 'tools', 'name')) await client.call(tool);
    for (const uri of await names(client, 'resources/list', 'resources', 'uri')) await client.request('resources/read', { uri });
    for (const name of await names(client, 'prompts/list', 'prompts', 'name')) await client.request('prompts/get', { name });
  },
  'http-custom-headers': async (client, { toolCalls }) => {
    await client.request('tools/list');
    for (const one of Array.isArray(toolCalls) ? toolCalls.filter(isJsonObject) : []) {
      await client.call(String(one.name), isJsonObject(one.arguments) ? one.arguments : {});
    }
  },
  'http-invalid-tool-headers': async (client) => {
    // Every tool that Turnpike let through: the referee watches that none of the malformed ones is among them.
    for (const tool of await names(client, 'tools/list', 'tools', 'name')) await client.call(tool, { region: 'eu' });
  },
  // What came through the list goes back by a call: both directions have to keep every keyword.
  'json-schema-2020-12-preservation': async (client) => {
    const { tools } = await client.request('tools/list');
    const focal = (Array.isArray(tools) ? tools.filter(isJsonObject) : []).find(({ name }) => name === 'json_schema_2020_12_tool');
    await client.call('json_schema_echo', { schema: focal?.inputSchema });
  },
  'json-schema-ref-no-deref': async (client) => {
    await client.request('tools/list');
  },
};

/** Throws what the gateway answered, when that was an error. */
export async function runScenario(name: string, client: ScriptedClient, context: JsonObject): Promise<void> {
  await client.open();
  await SCENARIOS[name]?.(client, context);
}

async function names(client: ScriptedClient, method: string, list: string, id: string): Promise<string[]> {
  const result = await client.request(method);
  const entries = result[list];
  return Array.isArray(entries) ? entries.filter(isJsonObject).map((entry) => String(entry[id])) : [];
}
