import { shape } from '../output/shape.ts';

/** Known fields of GitLab's entities, as several tools show them. Lists show less than single items. */

export const USER = shape('id username name state web_url public_email locked bot');
export const MEMBER = shape('id username name state access_level expires_at web_url membership_state');

export const COMMIT = shape(
  'id short_id title author_name author_email authored_date committed_date parent_ids web_url stats{additions deletions total}',
);
export const COMMIT_ITEM = shape(
  'id short_id title message author_name author_email authored_date committer_name committed_date parent_ids web_url status project_id stats{additions deletions total} last_pipeline{id status ref web_url}',
);
export const DIFF = shape('old_path new_path a_mode b_mode new_file renamed_file deleted_file generated_file truncated collapsed too_large diff');

export const PROJECT = shape(
  'id name path_with_namespace description default_branch visibility archived web_url last_activity_at star_count open_issues_count topics',
);
export const PROJECT_ITEM = shape(
  'id name path path_with_namespace description default_branch visibility archived empty_repo web_url http_url_to_repo ssh_url_to_repo readme_url created_at last_activity_at star_count forks_count open_issues_count topics namespace{id full_path kind} creator_id issues_enabled merge_requests_enabled wiki_enabled jobs_enabled issues_access_level merge_requests_access_level wiki_access_level merge_method squash_option only_allow_merge_if_pipeline_succeeds only_allow_merge_if_all_discussions_are_resolved remove_source_branch_after_merge ci_config_path import_status statistics{commit_count storage_size repository_size job_artifacts_size} license{key name} permissions{project_access{access_level} group_access{access_level}}',
);
export const GROUP = shape('id name full_path description visibility parent_id web_url created_at archived marked_for_deletion_on');
export const GROUP_ITEM = shape(
  'id name path full_path full_name description visibility parent_id web_url created_at archived default_branch project_creation_level subgroup_creation_level projects{id path_with_namespace web_url archived}',
);

export const ISSUE = shape(
  'id iid project_id title state issue_type author{username} assignees{username} labels milestone{iid title} created_at updated_at closed_at due_date confidential user_notes_count web_url references{full}',
);
export const ISSUE_ITEM = shape(
  'id iid project_id title state issue_type type description author{id username name} assignees{id username name} labels milestone{id iid title state due_date} created_at updated_at closed_at closed_by{username} due_date confidential discussion_locked weight severity user_notes_count merge_requests_count upvotes downvotes blocking_issues_count has_tasks task_completion_status{count completed_count} time_stats{human_time_estimate human_total_time_spent} moved_to_id web_url references{full}',
);

const NOTE_FIELDS =
  'id body author{id username name} created_at updated_at system noteable_iid resolvable resolved resolved_by{username} confidential internal position{base_sha start_sha head_sha position_type old_path new_path old_line new_line line_range}';
export const NOTE = shape(`${NOTE_FIELDS} noteable_type project_id`);
export const DISCUSSION = shape(`id individual_note resolvable resolved notes{${NOTE_FIELDS}}`);

export const MERGE_REQUEST = shape(
  'id iid project_id title state draft author{username} assignees{username} reviewers{username} source_branch target_branch labels milestone{iid title} detailed_merge_status has_conflicts sha created_at updated_at merged_at user_notes_count web_url references{full}',
);
export const MERGE_REQUEST_ITEM = shape(
  'id iid project_id title state draft description author{id username name} assignees{id username name} reviewers{id username name} source_branch target_branch source_project_id target_project_id labels milestone{id iid title} detailed_merge_status merge_error has_conflicts blocking_discussions_resolved sha merge_commit_sha squash_commit_sha squash diff_refs{base_sha start_sha head_sha} changes_count diverged_commits_count rebase_in_progress merge_when_pipeline_succeeds should_remove_source_branch force_remove_source_branch head_pipeline{id status ref sha web_url} created_at updated_at merged_at merged_by{username} merge_user{username} closed_at user_notes_count upvotes downvotes time_stats{human_time_estimate human_total_time_spent} user{can_merge} web_url references{full}',
);
export const APPROVALS = shape(
  'id iid project_id approved approvals_required approvals_left user_has_approved user_can_approve approved_by{user{username} approved_at} merge_status title state',
);

export const PIPELINE = shape('id iid project_id status source ref sha name created_at updated_at web_url');
export const PIPELINE_ITEM = shape(
  'id iid project_id status source ref sha name before_sha tag yaml_errors user{username} created_at updated_at started_at finished_at committed_at duration queued_duration coverage detailed_status{text label group} web_url',
);
const JOB_FIELDS =
  'id name stage status ref tag allow_failure failure_reason created_at started_at finished_at duration queued_duration coverage web_url user{username} pipeline{id project_id status ref sha}';
export const JOB = shape(JOB_FIELDS);
export const JOB_ITEM = shape(
  `${JOB_FIELDS} erased_at archived manual_confirmation_message tag_list commit{id short_id title author_name} runner{id description runner_type} artifacts{file_type filename size file_format} artifacts_expire_at`,
);

export const LABEL = shape(
  'id name color description open_issues_count closed_issues_count open_merge_requests_count priority is_project_label archived',
);
export const MILESTONE = shape('id iid project_id group_id title description state start_date due_date expired created_at updated_at web_url');
export const RELEASE = shape(
  'tag_name name description description_html created_at released_at upcoming_release author{username} commit{id short_id title} milestones{iid title} assets{count links{id name url direct_asset_url link_type} sources{format url}} evidences{sha filepath} _links{self}',
);
export const WIKI_PAGE = shape('slug title format content encoding front_matter wiki_page_meta_id');
export const VARIABLE = shape('key variable_type protected masked hidden raw environment_scope description');
export const BRANCH = shape(
  'name merged protected default developers_can_push developers_can_merge can_push web_url commit{id short_id title author_name committed_date}',
);
export const TAG = shape(
  'name message target protected created_at commit{id short_id title author_name committed_date} release{tag_name description}',
);
