-- What the service may do. It works under the role xuncha_app, which the program creates before
-- the migrations (a role belongs to the whole cluster, a migration to one database). Every later
-- table is granted by the migration that makes it; nothing is granted by default.

GRANT USAGE ON SCHEMA public TO xuncha_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO xuncha_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    imports, features, people, sessions, api_tokens, duties, settings, case_numbers, first_answers
    TO xuncha_app;
GRANT SELECT, INSERT, UPDATE ON layers, cases, revisions TO xuncha_app;
-- The histories grow and never change: of cases, of publishes, of evidence.
GRANT SELECT, INSERT ON case_events, generations, attachments TO xuncha_app;
GRANT SELECT ON features_in_force_view TO xuncha_app;
