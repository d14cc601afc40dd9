import type { Catalog } from '../catalog/catalog.ts';
import type { ListBytes } from '../catalog/list-bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { Deadlines } from '../core/deadlines.ts';
import type { Fingerprinter } from '../core/fingerprinter.ts';
import type { CapabilitySource, ConnectionSource } from '../core/ports.ts';
import type { Sealer } from '../store/seal.ts';
import type { AuditLog } from '../telemetry/audit.ts';
import type { Instruments } from '../telemetry/instruments.ts';
import type { Logger } from '../telemetry/log.ts';
import type { ToldLevels } from './log-levels.ts';
import type { Offers } from './offers.ts';
import type { ParkingLot } from './parking/parking-lot.ts';
import type { ResultMetas } from './result-metas.ts';
import type { RouterSettings } from './settings.ts';
import type { HostedTasks } from './tasks/hosted-tasks.ts';
import type { SubscriptionCounts } from './update-feed.ts';

/** What every handler may use; wired once in gateway.ts and passed as an argument. */
export interface Services {
  readonly catalog: Catalog;
  readonly lists: ListBytes;
  readonly connections: ConnectionSource;
  readonly subscriptions: SubscriptionCounts;
  readonly levels: ToldLevels;
  readonly offers: Offers;
  readonly resultMetas: ResultMetas;
  readonly parking: ParkingLot;
  readonly hosted: HostedTasks;
  readonly upstreams: CapabilitySource;
  readonly seals: { readonly state: Sealer; readonly task: Sealer };
  readonly fingerprint: Fingerprinter;
  readonly settings: RouterSettings;
  readonly audit: AuditLog;
  readonly instruments: Instruments;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Resolves when the first attempt of every upstream ended, or after 2 s: a list asked for meanwhile would be empty for no reason. */
  started(signal: AbortSignal): Promise<void>;
}
