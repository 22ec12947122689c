import { readFile } from 'node:fs/promises';
import { compileShim } from './shim.ts';
import { softHsm } from './softhsm.ts';
import { makeBed, missing, TokenBed, type TokenSetup } from './token-bed.ts';

/** Whose module the shim behaves as; see cloud.c. */
export type CloudKind = 'aws' | 'google';

/** SoftHSM's keys behind a module that behaves as one of a cloud service does. */
export class CloudBed extends TokenBed {
  /** The calls of C_Sign so far, as `0xMECHANISM LENGTH 0xRV`. */
  async signatures(): Promise<string[]> {
    const text = await readFile(this.bench.path('cloud.log'), 'utf8').catch(() => '');
    return text.split('\n').filter(Boolean);
  }
}

async function startCloudBed(kind: CloudKind): Promise<CloudBed> {
  const plain = await makeBed(async (bench) => {
    const { pin = '', ...inner } = await softHsm(bench);
    const modulePath = await compileShim(bench, 'cloud');
    const environment = {
      ...inner.environment,
      CLOUD_KIND: kind,
      CLOUD_MODULE: inner.modulePath,
      CLOUD_PIN: pin,
      CLOUD_LOG: bench.path('cloud.log'),
    };
    return { ...inner, modulePath, environment };
  });
  return new CloudBed(plain.bench, plain.pinFile, plain);
}

interface CloudSetup extends TokenSetup {
  readonly start: () => Promise<CloudBed>;
}

/** A shim that stands for a service's module, which can't run here. */
export function cloudSetup(kind: CloudKind): CloudSetup {
  return {
    name: `${kind} shim`,
    packages: ['gcc', 'softhsm2', 'opensc'],
    unavailable: () => missing(['libsofthsm2.so'], ['gcc', 'softhsm2-util', 'pkcs11-tool']),
    start: () => startCloudBed(kind),
  };
}
