import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { TurnpikeError } from '../core/errors.ts';

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED )?CERTIFICATE-----/g;

/**
 * The roots that are trusted anyway, and those of a PEM file (`GITLAB_CA_CERT_PATH`). One context for all connections: it takes
 * some 20 ms to make. Read at once, for it is made when the process starts.
 *
 * @throws `config/invalid` when the file cannot be read, or holds no certificate
 */
export function trustedRoots(path: string): SecureContext {
  try {
    const own = readFileSync(path, 'latin1').match(CERTIFICATE) ?? [];
    if (own.length === 0) throw new TypeError('no certificate');
    // OpenSSL passes over what it cannot read, and the first connection would fail for a reason that nobody guesses.
    for (const pem of own) new X509Certificate(pem);
    return createSecureContext({ ca: [...getCACertificates('default'), ...own], minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw new TurnpikeError('config/invalid', `Failed to read CA certificate: ${path}`, { cause });
  }
}
