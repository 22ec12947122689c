import type { KeyKind } from '../signing/public-key.ts';
import { isBefore, isHashed, type Release } from './advice.ts';
import type { Directives } from './directives.ts';
import type { Report } from './verdict.ts';

const WHAT = 'context';

/** Says what a policy can see of what this daemon will want signed (docs/POLICY.md). */
export function reportContext(kind: KeyKind, directives: Directives, release: Release, report: Report): void {
  if (!isHashed(kind) || directives.get('management-external-key')?.includes('digest') === true) {
    report({
      outcome: 'ok',
      what: WHAT,
      detail: "whole messages are sent: each is seen to be a TLS client's, or refused",
    });
    return;
  }
  const hint =
    isBefore(release, 2, 6) || release.library === 'mbed TLS'
      ? 'OpenVPN 2.6 with OpenSSL can send messages'
      : "with 'digest' behind management-external-key it sends messages; those of TLS 1.2 can be long, and it cuts them at 10,239 bytes of base64";
  report({ outcome: 'ok', what: WHAT, detail: 'OpenVPN sends hashes, which do not show what they are of', hint });
}
