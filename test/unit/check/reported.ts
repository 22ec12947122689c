import { explained, formatVerdict, type Report } from '../../../src/check/verdict.ts';

/** Verdicts as the lines that a person reads, the hints by the name of their reason. */
export function reported(): { readonly report: Report; readonly lines: string[] } {
  const lines: string[] = [];
  const report: Report = (verdict) => {
    lines.push(...formatVerdict(explained(verdict, ({ reason }) => reason && `<${reason}>`)));
  };
  return { report, lines };
}
