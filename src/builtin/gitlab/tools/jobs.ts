import type { JsonObject } from '../../../core/mcp.ts';
import { shape } from '../output/shape.ts';
import type { Found, ToolDeclaration } from './declaration.ts';
import { readArtifact } from './file-window.ts';
import { readLog } from './job-log.ts';
import { integer, must, objects, own, text } from './parameters.ts';
import type { Hint } from './produced.ts';
import { JOB_ITEM } from './shapes.ts';

function log({ args, first }: Found): readonly Hint[] {
  const at: JsonObject = { project_id: args.project_id, job_id: first.id ?? args.job_id };
  return [{ tool: 'get_pipeline_job_output', arguments: at, why: 'the end of its log' }];
}

/** Of a job that was just started. */
function started({ args, first }: Found): readonly Hint[] {
  const at: JsonObject = { project_id: args.project_id, job_id: first.id ?? args.job_id };
  return [{ tool: 'wait_for_job', arguments: at, why: 'wait for its end' }, ...log({ args, first })];
}

export const JOBS: readonly ToolDeclaration[] = [
  {
    name: 'get_pipeline_job',
    title: 'Get a job',
    description: 'One job.',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/jobs/{job_id}'], shape: JOB_ITEM, hints: log },
  },
  {
    name: 'get_pipeline_job_output',
    title: 'Read a job log',
    description: 'Lines of a job log; the last ones by default.',
    ...{ toolset: 'ci', tier: 1, kind: 'R', routes: ['P/jobs/{job_id}/trace'], run: readLog },
    params: {
      offset: own(integer('first line from 0; negative: from the end')),
      limit: own(integer('lines, default 200, at most 2000')),
      grep: own(text('only lines with this text')),
    },
    shape: shape('job_id offset lines total_lines total_matches note content'),
  },
  {
    name: 'play_pipeline_job',
    title: 'Start a manual job',
    description: 'Starts a manual job.',
    ...{ toolset: 'ci', tier: 2, kind: 'W', method: 'POST', routes: ['P/jobs/{job_id}/play'], shape: JOB_ITEM, hints: started },
    params: { job_variables_attributes: objects({ key: must(text()), value: must(text()) }) },
  },
  {
    name: 'retry_pipeline_job',
    title: 'Retry a job',
    description: 'Runs a job again.',
    ...{ toolset: 'ci', tier: 1, kind: 'W', method: 'POST', routes: ['P/jobs/{job_id}/retry'], shape: JOB_ITEM, hints: started },
  },
  {
    name: 'get_job_artifact_file',
    title: 'Read an artifact file',
    description: 'Text of one file in the artifacts of a job.',
    ...{ toolset: 'ci', tier: 2, kind: 'R', routes: ['P/jobs/{job_id}/artifacts/{artifact_path}'], run: readArtifact },
    params: { start_line: own(integer('from 1')), end_line: own(integer()), max_bytes: own(integer()) },
    shape: shape('job_id file_path start_line end_line total_lines encoding content complete note'),
  },
];
