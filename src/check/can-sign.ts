import type { DataKind, SchemeName } from '../signing/algorithm-text.ts';
import { keyKind, type KeyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import { sampleRequests, type SampleRequest } from '../signing/sample-requests.ts';
import type { Signer } from '../signing/signer.ts';

/** Whether a key signs data of this kind with this scheme: with SHA-256, where the scheme takes a hash. */
export type CanSign = (scheme: SchemeName, dataKind: DataKind) => boolean;

/** Whether a sample is the one that {@link CanSign} asks for. */
export function isAskedFor({ hash, request }: SampleRequest, scheme: SchemeName, dataKind: DataKind): boolean {
  return request.scheme === scheme && request.dataKind === dataKind && (hash === undefined || hash === 'SHA256');
}

function canSignOf(possible: readonly SampleRequest[]): CanSign {
  return (scheme, dataKind) => possible.some((sample) => isAskedFor(sample, scheme, dataKind));
}

/** What a key signs, as far as is known. */
export interface Abilities {
  /** By what was tried, or else by what its token lists. */
  readonly canSign: CanSign;
  /** Trying it might show that it does: tokens may do more than they list. */
  readonly maySign: CanSign;
}

/** Abilities by what is said of each request. @param may where that is more */
export function abilitiesOf(
  kind: KeyKind,
  can: (request: SignatureRequest) => boolean,
  may: (request: SignatureRequest) => boolean = () => false,
): Abilities {
  const samples = sampleRequests(kind);
  return {
    canSign: canSignOf(samples.filter(({ request }) => can(request))),
    maySign: canSignOf(samples.filter(({ request }) => can(request) || may(request))),
  };
}

/** The abilities of a key that is open, before anything is tried. */
export function abilitiesOfSigner(signer: Pick<Signer, 'publicKey' | 'canSign' | 'maySign'>): Abilities {
  return abilitiesOf(
    keyKind(signer.publicKey),
    (request) => signer.canSign(request),
    (request) => signer.maySign?.(request) === true,
  );
}

/** What all of several do. */
export function commonAbilities(all: readonly Abilities[]): Abilities {
  return {
    canSign: (scheme, dataKind) => all.every(({ canSign }) => canSign(scheme, dataKind)),
    maySign: (scheme, dataKind) => all.every(({ maySign }) => maySign(scheme, dataKind)),
  };
}
