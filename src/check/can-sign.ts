import type { DataKind, SchemeName } from '../signing/algorithm-text.ts';
import type { SampleRequest } from '../signing/sample-requests.ts';

/** Whether a key signs data of this kind with this scheme: with SHA-256, where the scheme takes a hash. */
export type CanSign = (scheme: SchemeName, dataKind: DataKind) => boolean;

/** Whether a sample is the one that {@link CanSign} asks for. */
export function isAskedFor({ hash, request }: SampleRequest, scheme: SchemeName, dataKind: DataKind): boolean {
  return request.scheme === scheme && request.dataKind === dataKind && (hash === undefined || hash === 'SHA256');
}

/** @param possible all samples that the key signs */
export function canSignOf(possible: readonly SampleRequest[]): CanSign {
  return (scheme, dataKind) => possible.some((sample) => isAskedFor(sample, scheme, dataKind));
}
