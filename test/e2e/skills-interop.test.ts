import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { SkillsClient } from '@modelcontextprotocol/client/ext/skills';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { memorySkillFiles, SkillsExtension } from '@modelcontextprotocol/server/ext/skills';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rig } from './rig.ts';

/** The published server side of skills behind the gateway, the published host side in front of it: it verifies every file. */
const FILES = {
  'trip/SKILL.md': '---\nname: trip\ndescription: Plans a trip\n---\n\nSee `references/rules.md`.\n',
  'trip/references/rules.md': '# Regeln – “kurz”\r\n',
  'trip/assets/dot.bin': Uint8Array.from([0, 255, 128, 10, 13]),
  'money/refunds/SKILL.md': '---\nname: refunds\ndescription: Asks for money back\n---\n\nAsk.\n',
};

async function skillServer(): Promise<Server> {
  const skills = await SkillsExtension.load(memorySkillFiles(FILES), { pageSize: 1 });
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'skills', version: '1.0.0' }, { capabilities: { resources: {} } });
    skills.attach(server);
    return server;
  });
  const serve = toNodeHandler(handler);
  const http = createServer((request, response) => void serve(request as Parameters<typeof serve>[0], response));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return http;
}

const urlOf = (http: Server) => `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`;

describe.each([1, 2])('%i upstreams with the same skills', (count) => {
  const servers: Server[] = [];
  let rig: Rig;
  let client: Client;
  let host: SkillsClient;

  beforeAll(async () => {
    rig = await Rig.make();
    for (let index = 0; index < count; index++) servers.push(await skillServer());
    await rig.start({ upstreams: servers.map((http, index) => ({ name: `s${index}`, type: 'streamable-http', url: urlOf(http) })) });
    client = new Client({ name: 'host', version: '1.0.0' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
    await client.connect(new StreamableHTTPClientTransport(rig.endpoint));
    host = new SkillsClient(client);
  });
  afterAll(async () => {
    await client?.close();
    await rig?.[Symbol.asyncDispose]();
    for (const http of servers) {
      http.close();
      http.closeAllConnections();
    }
  });

  it('can be listed, got, read and verified by a host that knows nothing of gateways', async () => {
    expect([host.supported, host.directoryRead]).toEqual([true, true]);
    const { skills } = await host.list();
    expect(skills.map(({ frontmatter }) => frontmatter.name)).toEqual(Array(count).fill(['refunds', 'trip']).flat());
    for (const skill of skills) {
      expect((await host.get(skill.uri)).skill).toEqual(skill);
      expect(await host.read(skill)).toMatchObject({ verified: true, frontmatter: skill.frontmatter });
      if (skill.frontmatter.name !== 'trip') continue;
      // By its path relative to the skill, as the text of the skill names it.
      expect((await host.read(skill, 'references/rules.md')).text).toBe(FILES['trip/references/rules.md']);
      expect((await host.read(skill, 'assets/dot.bin')).bytes).toEqual(FILES['trip/assets/dot.bin']);
      const { resources } = await host.readDirectory(skill.uri.slice(0, -'/SKILL.md'.length));
      expect(resources.map(({ name }) => name).sort()).toEqual(['SKILL.md', 'assets', 'references']);
    }
  });
});
