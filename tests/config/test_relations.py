"""Files are checked against each other, and what has no effect yet is named once."""

from herald_config import sources
from tests.config.installation import Installation, places


def test_two_projects_cannot_share_a_path_even_through_a_symbolic_link(herald: Installation) -> None:
    (herald.folder / "real").mkdir()
    (herald.folder / "link").symlink_to("real")
    herald.project("a", path=herald.folder / "real")
    herald.project("b", path=str(herald.folder / "real") + "/")
    herald.project("c", path=herald.folder / "link")

    found = sources.load(str(herald.config)).problems

    assert places(found) == [("b.yaml", 2, "path"), ("c.yaml", 2, "path")]
    assert "the path of project 'a'" in found[0]["message"]
    assert "(in a.yaml)" in found[0]["message"]


def test_no_project_may_lie_inside_another(herald: Installation) -> None:
    herald.project("a", path="/srv/x")
    herald.project("b", path="/srv/x/y")
    herald.project("c", path="/srv/xy")
    herald.project("d", path="/srv/xy/z")
    herald.project("e", path="/srv/xyz")

    found = sources.load(str(herald.config)).problems

    assert places(found) == [("b.yaml", 2, "path"), ("d.yaml", 2, "path")]
    assert "lies inside" in found[0]["message"]


def test_two_projects_cannot_share_a_channel_or_a_name(herald: Installation) -> None:
    herald.project("a", "discord_channel_id: 42\n")
    herald.project("b", "discord_channel_id: '42'\n")
    herald.project("c").write_text("name: a\npath: /nowhere/c\n")

    assert places(sources.load(str(herald.config)).problems) == [
        ("b.yaml", 3, "discord_channel_id"),
        ("c.yaml", 1, "name"),
    ]


def test_two_projects_cannot_share_a_webhook(herald: Installation) -> None:
    for name in "ab":
        herald.project(name, "webhook_url: https://discord.com/api/webhooks/1/SECRETSECRET\n")

    found = sources.load(str(herald.config)).problems

    assert places(found) == [("b.yaml", 3, "webhook_url")]
    assert "SECRET" not in str(found)


def test_the_channels_of_herald_itself_cannot_be_those_of_a_project(herald: Installation) -> None:
    herald.project("a", "discord_channel_id: 42\n")
    herald.server("discord:\n  guild_id: 42\n  system_channel: 42\n  work_channel: 43\n")

    (problem,) = sources.load(str(herald.config)).problems

    assert places([problem]) == [("herald.yaml", 3, "discord.system_channel")]
    assert "is the channel of project 'a'" in problem["message"]


def test_a_compose_file_may_lie_in_no_projects_folder_even_through_a_symbolic_link(herald: Installation) -> None:
    (herald.folder / "clone").mkdir()
    (herald.folder / "link").symlink_to("clone")
    (herald.folder / "roots").mkdir()
    herald.server(f"projects_root: {herald.folder}/roots\n")
    herald.project("a", f"deploy: {{compose_path: {herald.folder}/link/c.yaml}}\n")
    herald.project("b", f"deploy: {{compose_path: {herald.folder}/roots/x/c.yaml}}\n")
    herald.project("c", path=herald.folder / "clone")
    herald.project("d", f"deploy: {{compose_path: {herald.folder}/c.yaml}}\n")

    found = sources.load(str(herald.config)).problems

    assert places(found) == [("a.yaml", 3, "deploy.compose_path"), ("b.yaml", 3, "deploy.compose_path")]
    assert "write the path of one in the project, without / in front" in found[0]["message"]


def test_projects_without_a_channel_do_not_clash(herald: Installation) -> None:
    herald.project("a")
    herald.project("b", "discord_channel_id:\n")

    assert sources.load(str(herald.config)).problems == []


def test_keys_of_later_features_are_named_once_for_all_files(herald: Installation) -> None:
    herald.server("timezone: UTC\nmax_active: 2\nprojects_root: /x\ndeploy: {time_limit: 5m}\ndiscord: {guild_id: 1}\n")
    for name in "abcde":
        herald.project(name, "schedule: [{cron: '@daily'}]\nautonomous: {enabled: true}\nblog_output:\nthreads: task\n")

    found = sources.load(str(herald.config))

    told = [each for each in found.notices if each.endswith(": not yet in effect")]
    assert [each.split(": ")[-2] for each in told] == ["timezone", "schedule", "autonomous"]
    assert "c.yaml and 2 more: schedule" in told[1]


def test_an_open_project_is_told_loudly(herald: Installation) -> None:
    herald.project("demo", "git: {push_requires_approval: false}\n")

    (notice,) = sources.load(str(herald.config)).notices

    assert "PROJECT demo IS OPEN" in notice


def test_a_project_that_pushes_and_deploys_unasked_is_told_still_louder(herald: Installation) -> None:
    herald.project("demo", "git: {push_requires_approval: false}\ndeploy: {auto_deploy_on_push: true}\n")
    herald.project("asked", "deploy: {auto_deploy_on_push: true}\n")

    (notice,) = sources.load(str(herald.config)).notices

    assert "PROJECT demo IS OPEN AND DEPLOYS BY ITSELF" in notice
    assert "started on this machine, with the rights of the container socket, without anybody's vote" in notice


def test_a_file_with_another_ending_is_named_and_editor_files_are_not(herald: Installation) -> None:
    projects = herald.config / "projects"
    herald.project("demo")
    for name in ("a.yml", "a.yaml~", ".a.yaml.swp", ".#a.yaml", "#a.yaml#", "example.yaml", ".hidden.yaml", "README"):
        (projects / name).write_text("broken: [")

    found = sources.load(str(herald.config))

    assert found.problems == []
    assert [each.keys.name for each in found.projects] == ["demo"]
    assert [each for each in found.notices if "is not loaded" in each] == found.notices
    assert "a.yml" in found.notices[0]


def test_a_file_named_unlike_its_project_is_named(herald: Installation) -> None:
    herald.project("demo").rename(herald.config / "projects" / "other.yaml")

    assert "better name the file demo.yaml" in sources.load(str(herald.config)).notices[0]


def test_nothing_but_a_folder_is_a_configuration_with_defaults(herald: Installation) -> None:
    found = sources.load(str(herald.config))

    assert (found.problems, found.projects, found.server.max_active) == ([], (), 1)


def test_a_missing_folder_is_a_problem_and_not_an_empty_configuration(herald: Installation) -> None:
    (problem,) = sources.load(str(herald.folder / "gone")).problems

    assert problem["file"].endswith("/gone")
    assert "No such file" in problem["message"]


def test_projects_that_cannot_be_listed_are_a_problem(herald: Installation) -> None:
    (herald.config / "projects").rmdir()
    (herald.config / "projects").symlink_to("nowhere")
    assert sources.load(str(herald.config)).problems[0]["file"].endswith("/projects")

    (herald.config / "projects").unlink()
    (herald.config / "projects").write_text("")
    assert sources.load(str(herald.config)).problems[0]["file"].endswith("/projects")


def test_some_hundred_projects_are_checked_against_each_other(herald: Installation) -> None:
    for number in range(300):
        herald.project(f"p{number}", f"discord_channel_id: {number}\n")

    found = sources.load(str(herald.config))

    assert (found.problems, len(found.projects)) == ([], 300)
