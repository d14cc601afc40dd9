/** `turnpike/testing`: the whole gateway in memory, and the parts that tests of embedders need. */
export type { Clock, Timer } from '../core/clock.ts';
export { ManualClock } from '../core/manual-clock.ts';
export type { JsonObject } from '../core/mcp.ts';
export { type McpClient, McpError, type McpNotification, type RequestOptions } from '../launcher/mcp-client.ts';
export { MemoryStore } from '../store/memory.ts';
export type { Row, ScanOptions, SetOptions, Store } from '../store/store.ts';
export { type FakeCall, type FakeRequest, type FakeScript, type FakeTool, FakeUpstream } from './fake-upstream.ts';
export { type ContractRule, type MakeStore, storeContract } from './store-contract.ts';
export { TestClient, type TestClientOptions } from './test-client.ts';
export { createTestGateway, type TestGateway, type TestGatewayOptions } from './test-gateway.ts';
