/** Public API of the package `turnpike`: a gateway to embed, its configuration, its errors. */
export { type LoadedConfig, type LoadInput, loadConfig } from './config/load.ts';
export type { Config, UpstreamConfig } from './config/schema.ts';
export { type ConfigDocument, type ConfigFromOptions, configFrom } from './config-from.ts';
export { ERRORS, type ErrorCode, type ErrorDetails, TurnpikeError } from './core/errors.ts';
export type { HandleOptions } from './embedding.ts';
export { createGateway, type Gateway, type GatewayOverrides } from './gateway.ts';
export type { NextConfig, ReloadReport } from './reload.ts';
export type { ConnectionReport, GatewayStatus, UpstreamReport } from './status.ts';
export type { Logger } from './telemetry/log.ts';
