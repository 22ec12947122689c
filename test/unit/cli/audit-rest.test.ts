import { readFileSync, truncateSync } from 'node:fs';
import { expect, test } from 'vitest';
import { auditVerify } from '../../../src/cli/audit-command.ts';
import { AWAITED, LogBed, signed, written } from '../agent/audit/log-bed.ts';

test('entries that are gone are not in a further file that has none yet', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  // a reload that could not be done
  await log.checkpoint('rotate');
  const { length } = readFileSync(bed.path);
  await log.write(signed('office'), AWAITED).done;
  bed.disk.room = 0;
  // whichever of their records is read first
  for (let index = 0; index < 8; index += 1) await bed.open(`${bed.folder}/${index}`, log);
  await log.close(true);
  truncateSync(bed.path, length);
  await expect(auditVerify([bed.path], { stateDirectory: bed.state })).rejects.toMatchObject({
    code: 'ERR_AUDIT_CHAIN',
    details: [expect.stringContaining('missing at the end')],
  });
});
