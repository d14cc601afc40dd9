/** What the edge needs of the configuration. Durations in milliseconds, sizes in bytes. */
export interface EdgeSettings {
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly publicUrl: string;
    readonly tls?: { readonly certFile: string; readonly keyFile: string };
    readonly hsts: boolean;
    readonly streaming: boolean;
    readonly allowedHosts: readonly string[];
    readonly allowedOrigins: readonly string[];
    readonly trustedProxies: readonly string[];
    readonly maxBodyBytes: number;
    readonly readHeaderTimeout: number;
    readonly writeTimeout: number;
    readonly idleTimeout: number;
  };
  readonly limits: { readonly sessions: number; readonly sessionIdle: number };
}
