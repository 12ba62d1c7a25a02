-- dbschema: statement
CREATE EXTENSION IF NOT EXISTS postgis
-- dbschema: statement
CREATE EXTENSION IF NOT EXISTS btree_gist
-- dbschema: statement
CREATE EXTENSION IF NOT EXISTS btree_gin
-- dbschema: statement
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_app') THEN
        BEGIN
            CREATE ROLE dbschema_app NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made by another session meanwhile
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_app'
                   AND 'jit=off' = ANY (rolconfig)) THEN
        ALTER ROLE dbschema_app SET jit = 'off';
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('the role dbschema_app is missing or incomplete, and {} may not create or alter roles', '{}', current_user),
            HINT = 'Have an administrator run: CREATE ROLE dbschema_app NOLOGIN; ALTER ROLE dbschema_app SET jit = ''off''';
END
$$
-- dbschema: statement
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_readonly') THEN
        BEGIN
            CREATE ROLE dbschema_readonly NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made by another session meanwhile
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_readonly'
                   AND 'jit=off' = ANY (rolconfig)) THEN
        ALTER ROLE dbschema_readonly SET jit = 'off';
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('the role dbschema_readonly is missing or incomplete, and {} may not create or alter roles', '{}', current_user),
            HINT = 'Have an administrator run: CREATE ROLE dbschema_readonly NOLOGIN; ALTER ROLE dbschema_readonly SET jit = ''off''';
END
$$
-- dbschema: statement
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_operator') THEN
        BEGIN
            CREATE ROLE dbschema_operator NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made by another session meanwhile
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_operator'
                   AND 'jit=off' = ANY (rolconfig)) THEN
        ALTER ROLE dbschema_operator SET jit = 'off';
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('the role dbschema_operator is missing or incomplete, and {} may not create or alter roles', '{}', current_user),
            HINT = 'Have an administrator run: CREATE ROLE dbschema_operator NOLOGIN; ALTER ROLE dbschema_operator SET jit = ''off''';
END
$$
-- dbschema: statement
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'dbschema_search') THEN
        BEGIN
            CREATE ROLE dbschema_search NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made by another session meanwhile
        END;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('the role dbschema_search is missing or incomplete, and {} may not create or alter roles', '{}', current_user),
            HINT = 'Have an administrator run: CREATE ROLE dbschema_search NOLOGIN';
END
$$
-- dbschema: statement
CREATE OR REPLACE FUNCTION update_updated_at_column()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO pg_catalog
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$
-- dbschema: statement
COMMENT ON FUNCTION update_updated_at_column() IS 'Sets updated_at to the time of the transaction, whatever the client wrote'
-- dbschema: statement
REVOKE ALL ON FUNCTION update_updated_at_column() FROM PUBLIC
-- dbschema: statement
CREATE OR REPLACE FUNCTION raise_version_column()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO pg_catalog
AS $$
BEGIN
    NEW.version := OLD.version;
    IF TG_NARGS > 0 THEN
        OLD := jsonb_populate_record(OLD, TG_ARGV[0]::jsonb);
    END IF;
    IF NEW *<> OLD THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END
$$
-- dbschema: statement
COMMENT ON FUNCTION raise_version_column() IS 'Raises version by one where the row changes, whatever the client wrote'
-- dbschema: statement
REVOKE ALL ON FUNCTION raise_version_column() FROM PUBLIC
-- dbschema: statement
CREATE OR REPLACE FUNCTION refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET row_security TO off
AS $$
DECLARE
    tenant_stands boolean;
BEGIN
    IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN
        IF TG_NARGS = 0 THEN
            tenant_stands := EXISTS (SELECT FROM tenants t WHERE t.id = OLD.tenant_id);
        ELSE
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s = $1)', TG_ARGV[0], TG_ARGV[1])
                INTO tenant_stands USING OLD.tenant_id;
        END IF;
        IF NOT tenant_stands THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% on % is refused: the table is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Rows go only with the tenant they belong to. Add a row that corrects the earlier one.';
END
$$
-- dbschema: statement
DO $$
BEGIN
    EXECUTE 'ALTER FUNCTION refuse_change() SET search_path TO '
        || concat_ws(', ', 'pg_catalog', quote_ident(current_schema()), 'pg_temp');
END
$$
-- dbschema: statement
COMMENT ON FUNCTION refuse_change() IS 'Refuses UPDATE, DELETE and TRUNCATE, but for the removal of the tenant itself'
-- dbschema: statement
REVOKE ALL ON FUNCTION refuse_change() FROM PUBLIC
-- dbschema: statement
CREATE TABLE tenants (
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	tenant_name TEXT NOT NULL, 
	slug TEXT NOT NULL, 
	status TEXT DEFAULT 'active' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_tenants PRIMARY KEY (id), 
	CONSTRAINT ck_tenants_slug CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'), 
	CONSTRAINT ck_tenants_status CHECK (status IN ('active', 'suspended')), 
	CONSTRAINT uq_tenants_slug UNIQUE (slug)
)
-- dbschema: statement
COMMENT ON TABLE tenants IS 'Customers; every other row belongs to one of them'
-- dbschema: statement
COMMENT ON COLUMN tenants.tenant_name IS 'Name as people read it'
-- dbschema: statement
COMMENT ON COLUMN tenants.slug IS 'Name in addresses: lower case letters, digits and hyphens'
-- dbschema: statement
COMMENT ON COLUMN tenants.status IS 'A suspended tenant keeps its data and is not served'
-- dbschema: statement
COMMENT ON COLUMN tenants.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN tenants.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE TABLE marketing_campaigns (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	campaign_name TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	status TEXT DEFAULT 'draft' NOT NULL, 
	budget NUMERIC(12, 2) DEFAULT 0 NOT NULL, 
	spend NUMERIC(12, 2) DEFAULT 0 NOT NULL, 
	impressions BIGINT DEFAULT 0 NOT NULL, 
	clicks BIGINT DEFAULT 0 NOT NULL, 
	conversions BIGINT DEFAULT 0 NOT NULL, 
	revenue NUMERIC(12, 2) DEFAULT 0 NOT NULL, 
	currency TEXT DEFAULT 'USD' NOT NULL, 
	starts_on DATE, 
	ends_on DATE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_marketing_campaigns PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_marketing_campaigns_currency CHECK (currency ~ '^[A-Z]{3}$'), 
	CONSTRAINT ck_marketing_campaigns_status CHECK (status IN ('draft', 'active', 'paused', 'completed')), 
	CONSTRAINT ck_marketing_campaigns_budget CHECK (budget >= 0), 
	CONSTRAINT ck_marketing_campaigns_clicks_within_impressions CHECK (clicks <= impressions), 
	CONSTRAINT ck_marketing_campaigns_clicks CHECK (clicks >= 0), 
	CONSTRAINT ck_marketing_campaigns_conversions CHECK (conversions >= 0), 
	CONSTRAINT ck_marketing_campaigns_ends_after_starts CHECK (ends_on >= starts_on), 
	CONSTRAINT ck_marketing_campaigns_impressions CHECK (impressions >= 0), 
	CONSTRAINT ck_marketing_campaigns_revenue CHECK (revenue >= 0), 
	CONSTRAINT ck_marketing_campaigns_spend CHECK (spend >= 0), 
	CONSTRAINT fk_marketing_campaigns_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_marketing_campaigns_tenant_id_campaign_name UNIQUE (tenant_id, campaign_name)
)
-- dbschema: statement
COMMENT ON TABLE marketing_campaigns IS 'Campaigns: what they cost and what they bring'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.campaign_name IS 'Unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.channel IS 'Where it runs, such as email or search'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.status IS 'Whether it runs'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.budget IS 'What it may cost'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.spend IS 'What it has cost so far'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.impressions IS 'How often it was shown'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.clicks IS 'How often it was clicked'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.conversions IS 'How many orders it brought'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.revenue IS 'What these orders were worth'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.currency IS 'ISO 4217 code of the currency of the amounts in this row'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.starts_on IS 'First day'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.ends_on IS 'Last day; not before starts_on'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN marketing_campaigns.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_marketing_campaigns_starts_on ON marketing_campaigns (tenant_id, starts_on DESC)
-- dbschema: statement
CREATE TABLE orders (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	order_number TEXT NOT NULL, 
	customer_email TEXT NOT NULL, 
	status TEXT DEFAULT 'pending' NOT NULL, 
	total_amount NUMERIC(12, 2) NOT NULL, 
	currency TEXT DEFAULT 'USD' NOT NULL, 
	ordered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_orders PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_orders_currency CHECK (currency ~ '^[A-Z]{3}$'), 
	CONSTRAINT ck_orders_status CHECK (status IN ('pending', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')), 
	CONSTRAINT ck_orders_customer_email CHECK (customer_email = lower(customer_email)), 
	CONSTRAINT ck_orders_total_amount CHECK (total_amount >= 0), 
	CONSTRAINT fk_orders_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_orders_tenant_id_order_number UNIQUE (tenant_id, order_number)
)
-- dbschema: statement
COMMENT ON TABLE orders IS 'What customers bought'
-- dbschema: statement
COMMENT ON COLUMN orders.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN orders.order_number IS 'Number that the customer knows, unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN orders.customer_email IS 'Who bought, in lower case'
-- dbschema: statement
COMMENT ON COLUMN orders.status IS 'How far it is'
-- dbschema: statement
COMMENT ON COLUMN orders.total_amount IS 'What the customer pays, in the row''s currency'
-- dbschema: statement
COMMENT ON COLUMN orders.currency IS 'ISO 4217 code of the currency of the amounts in this row'
-- dbschema: statement
COMMENT ON COLUMN orders.ordered_at IS 'When the customer ordered'
-- dbschema: statement
COMMENT ON COLUMN orders.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN orders.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_orders_ordered_at ON orders (tenant_id, ordered_at DESC)
-- dbschema: statement
CREATE INDEX idx_orders_status ON orders (tenant_id, status, ordered_at DESC)
-- dbschema: statement
CREATE TABLE role_metric_visibility (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	role TEXT NOT NULL, 
	metric_name TEXT NOT NULL, 
	is_visible BOOLEAN DEFAULT true NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_role_metric_visibility PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_role_metric_visibility_role CHECK (role IN ('finance', 'operations', 'marketing', 'admin', 'member')), 
	CONSTRAINT fk_role_metric_visibility_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_role_metric_visibility_tenant_id_role_metric_name UNIQUE (tenant_id, role, metric_name)
)
-- dbschema: statement
COMMENT ON TABLE role_metric_visibility IS 'Which metrics the users of a role see'
-- dbschema: statement
COMMENT ON COLUMN role_metric_visibility.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN role_metric_visibility.role IS 'Role of the users'
-- dbschema: statement
COMMENT ON COLUMN role_metric_visibility.metric_name IS 'Name of the metric, as dashboards use it'
-- dbschema: statement
COMMENT ON COLUMN role_metric_visibility.is_visible IS 'False: hidden from the role'
-- dbschema: statement
COMMENT ON COLUMN role_metric_visibility.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN role_metric_visibility.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE TABLE users (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	username TEXT NOT NULL, 
	email TEXT NOT NULL, 
	cognito_sub TEXT, 
	display_name TEXT, 
	role TEXT DEFAULT 'member' NOT NULL, 
	is_active BOOLEAN DEFAULT true NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_users_role CHECK (role IN ('finance', 'operations', 'marketing', 'admin', 'member')), 
	CONSTRAINT ck_users_email CHECK (email = lower(email)), 
	CONSTRAINT fk_users_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_users_tenant_id_cognito_sub UNIQUE (tenant_id, cognito_sub), 
	CONSTRAINT uq_users_tenant_id_email UNIQUE (tenant_id, email), 
	CONSTRAINT uq_users_tenant_id_username UNIQUE (tenant_id, username)
)
-- dbschema: statement
COMMENT ON TABLE users IS 'People and programs that act for a tenant'
-- dbschema: statement
COMMENT ON COLUMN users.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN users.username IS 'Name to sign in with, unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN users.email IS 'In lower case, unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN users.cognito_sub IS 'Subject of the Cognito user pool'
-- dbschema: statement
COMMENT ON COLUMN users.display_name IS 'Name as others see it'
-- dbschema: statement
COMMENT ON COLUMN users.role IS 'Decides which metrics are shown'
-- dbschema: statement
COMMENT ON COLUMN users.is_active IS 'False: may not sign in'
-- dbschema: statement
COMMENT ON COLUMN users.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN users.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE TABLE agent_definitions (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	agent_id TEXT NOT NULL, 
	agent_name TEXT NOT NULL, 
	agent_class TEXT NOT NULL, 
	system_prompt TEXT NOT NULL, 
	tools JSONB DEFAULT '[]'::jsonb NOT NULL, 
	agent_dependencies JSONB DEFAULT '[]'::jsonb NOT NULL, 
	max_output_keys INTEGER DEFAULT 5 NOT NULL, 
	output_schema JSONB DEFAULT '{}'::jsonb NOT NULL, 
	description TEXT, 
	enabled BOOLEAN DEFAULT true NOT NULL, 
	is_inbuilt BOOLEAN DEFAULT false NOT NULL, 
	created_by UUID, 
	version INTEGER DEFAULT 1 NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_agent_definitions PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_agent_definitions_agent_class CHECK (agent_class IN ('ingestion', 'query', 'management')), 
	CONSTRAINT ck_agent_definitions_agent_dependencies CHECK (jsonb_typeof(agent_dependencies) = 'array'), 
	CONSTRAINT ck_agent_definitions_output_schema CHECK (jsonb_typeof(output_schema) = 'object'), 
	CONSTRAINT ck_agent_definitions_tools CHECK (jsonb_typeof(tools) = 'array'), 
	CONSTRAINT ck_agent_definitions_no_self_dependency CHECK (NOT agent_dependencies ? agent_id), 
	CONSTRAINT ck_agent_definitions_max_output_keys CHECK (max_output_keys > 0), 
	CONSTRAINT ck_agent_definitions_version CHECK (version >= 1), 
	CONSTRAINT fk_agent_definitions_tenant_id_created_by FOREIGN KEY(tenant_id, created_by) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_agent_definitions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_agent_definitions_tenant_id_agent_id UNIQUE (tenant_id, agent_id)
)
-- dbschema: statement
COMMENT ON TABLE agent_definitions IS 'Agents that ingest, query and manage incidents'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.agent_id IS 'Name that programs and other agents use, unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.agent_name IS 'Name as people read it'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.agent_class IS 'What the agent is for'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.system_prompt IS 'Instructions that the agent starts with'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.tools IS 'Names of the tools it may call'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.agent_dependencies IS 'agent_id of the agents whose output it reads'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.max_output_keys IS 'How many keys its output may have'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.output_schema IS 'JSON Schema of its output'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.enabled IS 'False: not called'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.is_inbuilt IS 'Delivered with the product'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.created_by IS 'The user who made it; none for a built-in one'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.version IS 'Starts at 1; raised by a trigger on each update that changes the row'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN agent_definitions.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_agents_created_by ON agent_definitions (tenant_id, created_by)
-- dbschema: statement
CREATE INDEX idx_agents_enabled ON agent_definitions (tenant_id, agent_class, agent_id) WHERE enabled
-- dbschema: statement
CREATE INDEX idx_agents_tenant ON agent_definitions (tenant_id, created_at DESC)
-- dbschema: statement
CREATE INDEX idx_agents_tenant_class ON agent_definitions (tenant_id, agent_class)
-- dbschema: statement
CREATE TABLE audit_logs (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID, 
	action TEXT NOT NULL, 
	resource_type TEXT NOT NULL, 
	resource_id TEXT, 
	details JSONB DEFAULT '{}'::jsonb NOT NULL, 
	ip_address INET, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_audit_logs PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_audit_logs_details CHECK (jsonb_typeof(details) = 'object'), 
	CONSTRAINT fk_audit_logs_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_audit_logs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE audit_logs IS 'What was done, by whom and to what; rows are never changed'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.user_id IS 'Who did it; NULL: the system'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.action IS 'What was done, such as incident.update'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.resource_type IS 'Kind of the thing it was done to'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.resource_id IS 'Id of the thing it was done to'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.details IS 'What else is worth keeping'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.ip_address IS 'Where the request came from'
-- dbschema: statement
COMMENT ON COLUMN audit_logs.created_at IS 'When the row was made'
-- dbschema: statement
CREATE INDEX idx_audit_logs_created_at ON audit_logs (tenant_id, created_at DESC, id)
-- dbschema: statement
CREATE INDEX idx_audit_logs_resource ON audit_logs (tenant_id, resource_type, resource_id, created_at DESC, id)
-- dbschema: statement
CREATE INDEX idx_audit_logs_user ON audit_logs (tenant_id, user_id, created_at DESC)
-- dbschema: statement
CREATE TABLE conversations (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID NOT NULL, 
	title TEXT, 
	metadata JSONB DEFAULT '{}'::jsonb NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_conversations PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_conversations_metadata CHECK (jsonb_typeof(metadata) = 'object'), 
	CONSTRAINT fk_conversations_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_conversations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE conversations IS 'Conversations of users with the assistant'
-- dbschema: statement
COMMENT ON COLUMN conversations.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN conversations.user_id IS 'Whose conversation it is'
-- dbschema: statement
COMMENT ON COLUMN conversations.metadata IS 'What else is known of it'
-- dbschema: statement
COMMENT ON COLUMN conversations.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN conversations.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_conversations_user ON conversations (tenant_id, user_id, updated_at DESC)
-- dbschema: statement
CREATE TABLE documents (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID NOT NULL, 
	title TEXT NOT NULL, 
	content TEXT NOT NULL, 
	metadata JSONB DEFAULT '{}'::jsonb NOT NULL, 
	vector_id TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_documents PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_documents_metadata CHECK (jsonb_typeof(metadata) = 'object'), 
	CONSTRAINT fk_documents_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_documents_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE documents IS 'Texts that users gave to the assistant'
-- dbschema: statement
COMMENT ON COLUMN documents.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN documents.user_id IS 'Whose document it is'
-- dbschema: statement
COMMENT ON COLUMN documents.content IS 'The text itself'
-- dbschema: statement
COMMENT ON COLUMN documents.metadata IS 'What else is known of it'
-- dbschema: statement
COMMENT ON COLUMN documents.vector_id IS 'Key of its embedding in S3 Vectors'
-- dbschema: statement
COMMENT ON COLUMN documents.created_at IS 'When the row was made'
-- dbschema: statement
CREATE INDEX idx_documents_user ON documents (tenant_id, user_id, created_at DESC)
-- dbschema: statement
CREATE INDEX idx_documents_words ON documents USING gin (tenant_id, to_tsvector('simple'::regconfig, ("left"(title, 1000) || ' '::text) || "left"(content, 100000)))
-- dbschema: statement
CREATE TABLE domain_configurations (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	domain_id TEXT NOT NULL, 
	domain_name TEXT NOT NULL, 
	description TEXT, 
	ingestion_playbook JSONB DEFAULT '{}'::jsonb NOT NULL, 
	query_playbook JSONB DEFAULT '{}'::jsonb NOT NULL, 
	management_playbook JSONB DEFAULT '{}'::jsonb NOT NULL, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_domain_configurations PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_domain_configurations_ingestion_playbook CHECK (jsonb_typeof(ingestion_playbook) = 'object'), 
	CONSTRAINT ck_domain_configurations_management_playbook CHECK (jsonb_typeof(management_playbook) = 'object'), 
	CONSTRAINT ck_domain_configurations_query_playbook CHECK (jsonb_typeof(query_playbook) = 'object'), 
	CONSTRAINT fk_domain_configurations_tenant_id_created_by FOREIGN KEY(tenant_id, created_by) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_domain_configurations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_domain_configurations_tenant_id_domain_id UNIQUE (tenant_id, domain_id)
)
-- dbschema: statement
COMMENT ON TABLE domain_configurations IS 'Domains of incidents, and the agents that work in each'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.domain_id IS 'Name that programs use, unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.domain_name IS 'Name as people read it'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.ingestion_playbook IS 'Agents and order of taking a report in'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.query_playbook IS 'Agents and order of answering a question'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.management_playbook IS 'Agents and order of handling an incident'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.created_by IS 'The user who made it'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN domain_configurations.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_domains_created_by ON domain_configurations (tenant_id, created_by)
-- dbschema: statement
CREATE INDEX idx_domains_tenant ON domain_configurations (tenant_id, created_at DESC)
-- dbschema: statement
CREATE TABLE fulfillment (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	order_id UUID NOT NULL, 
	status TEXT DEFAULT 'pending' NOT NULL, 
	carrier TEXT, 
	tracking_number TEXT, 
	warehouse TEXT, 
	shipped_at TIMESTAMP WITH TIME ZONE, 
	delivered_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_fulfillment PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_fulfillment_status CHECK (status IN ('pending', 'processing', 'shipped', 'delivered', 'returned', 'failed')), 
	CONSTRAINT ck_fulfillment_delivered_after_shipped CHECK (delivered_at >= shipped_at), 
	CONSTRAINT fk_fulfillment_tenant_id_order_id FOREIGN KEY(tenant_id, order_id) REFERENCES orders (tenant_id, id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE fulfillment IS 'Shipments of orders'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.order_id IS 'The order that is shipped'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.status IS 'How far it is'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.carrier IS 'Who carries it'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.tracking_number IS 'Number that the carrier knows it by'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.warehouse IS 'Where it leaves from'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.shipped_at IS 'When it left'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.delivered_at IS 'When it arrived; not before shipped_at'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN fulfillment.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_fulfillment_order ON fulfillment (tenant_id, order_id)
-- dbschema: statement
CREATE INDEX idx_fulfillment_status ON fulfillment (tenant_id, status)
-- dbschema: statement
CREATE TABLE governance_rules (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	rule_name TEXT NOT NULL, 
	rule_type TEXT NOT NULL, 
	definition JSONB DEFAULT '{}'::jsonb NOT NULL, 
	is_active BOOLEAN DEFAULT true NOT NULL, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_governance_rules PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_governance_rules_definition CHECK (jsonb_typeof(definition) = 'object'), 
	CONSTRAINT fk_governance_rules_tenant_id_created_by FOREIGN KEY(tenant_id, created_by) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_governance_rules_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_governance_rules_tenant_id_rule_name UNIQUE (tenant_id, rule_name)
)
-- dbschema: statement
COMMENT ON TABLE governance_rules IS 'Rules that a tenant sets for itself'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.rule_name IS 'Unique within the tenant'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.rule_type IS 'What kind of rule it is, such as retention or approval'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.definition IS 'The rule itself, in the shape of its type'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.is_active IS 'False: kept, and not applied'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.created_by IS 'The user who made it'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN governance_rules.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_governance_rules_created_by ON governance_rules (tenant_id, created_by)
-- dbschema: statement
CREATE TABLE incidents (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	domain_id TEXT NOT NULL, 
	title TEXT, 
	raw_text TEXT, 
	status TEXT DEFAULT 'open' NOT NULL, 
	severity SMALLINT, 
	location geography(POINT,4326), 
	structured_data JSONB DEFAULT '{}'::jsonb NOT NULL, 
	category TEXT GENERATED ALWAYS AS (left(structured_data ->> 'category', 200)) STORED, 
	occurred_at TIMESTAMP WITH TIME ZONE, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_incidents PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_incidents_structured_data CHECK (jsonb_typeof(structured_data) = 'object'), 
	CONSTRAINT ck_incidents_status CHECK (status IN ('open', 'in_progress', 'resolved', 'closed')), 
	CONSTRAINT ck_incidents_severity CHECK (severity BETWEEN 1 AND 5), 
	CONSTRAINT fk_incidents_tenant_id_created_by FOREIGN KEY(tenant_id, created_by) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_incidents_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE incidents IS 'Reports of something that happened somewhere'
-- dbschema: statement
COMMENT ON COLUMN incidents.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN incidents.domain_id IS 'domain_id of the domain configuration that it belongs to'
-- dbschema: statement
COMMENT ON COLUMN incidents.title IS 'One line that says what happened'
-- dbschema: statement
COMMENT ON COLUMN incidents.raw_text IS 'The report as it came in'
-- dbschema: statement
COMMENT ON COLUMN incidents.status IS 'How far its handling is'
-- dbschema: statement
COMMENT ON COLUMN incidents.severity IS '1 (least) to 5 (worst); NULL: not judged yet'
-- dbschema: statement
COMMENT ON COLUMN incidents.location IS 'Where it happened, WGS 84'
-- dbschema: statement
COMMENT ON COLUMN incidents.structured_data IS 'What the agents read out of the report'
-- dbschema: statement
COMMENT ON COLUMN incidents.category IS 'What structured_data has under category; kept by the database'
-- dbschema: statement
COMMENT ON COLUMN incidents.occurred_at IS 'When it happened, as far as known'
-- dbschema: statement
COMMENT ON COLUMN incidents.created_by IS 'The user who reported it'
-- dbschema: statement
COMMENT ON COLUMN incidents.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN incidents.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_incidents_category ON incidents (tenant_id, category, created_at DESC, id)
-- dbschema: statement
CREATE INDEX idx_incidents_created_at ON incidents (tenant_id, created_at DESC, id)
-- dbschema: statement
CREATE INDEX idx_incidents_created_by ON incidents (tenant_id, created_by)
-- dbschema: statement
CREATE INDEX idx_incidents_location ON incidents USING gist (tenant_id, location)
-- dbschema: statement
CREATE INDEX idx_incidents_structured_data ON incidents USING gin (tenant_id, structured_data jsonb_path_ops)
-- dbschema: statement
CREATE INDEX idx_incidents_tenant_domain ON incidents (tenant_id, domain_id, created_at DESC)
-- dbschema: statement
CREATE TABLE onboarding_sessions (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID, 
	external_reference TEXT, 
	status TEXT DEFAULT 'started' NOT NULL, 
	current_step TEXT, 
	data JSONB DEFAULT '{}'::jsonb NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	completed_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_onboarding_sessions PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_onboarding_sessions_data CHECK (jsonb_typeof(data) = 'object'), 
	CONSTRAINT ck_onboarding_sessions_status CHECK (status IN ('started', 'in_progress', 'completed', 'failed', 'abandoned')), 
	CONSTRAINT fk_onboarding_sessions_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_onboarding_sessions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_onboarding_sessions_tenant_id_external_reference UNIQUE (tenant_id, external_reference)
)
-- dbschema: statement
COMMENT ON TABLE onboarding_sessions IS 'Onboardings from their start to their end'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.user_id IS 'Who is onboarded; NULL: not known yet'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.external_reference IS 'What the other side calls it; unique in the tenant'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.status IS 'How far it is'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.current_step IS 'Step that it is at'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.data IS 'What was collected so far'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.started_at IS 'When it began'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.completed_at IS 'When it ended'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN onboarding_sessions.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_onboarding_sessions_status ON onboarding_sessions (tenant_id, status)
-- dbschema: statement
CREATE INDEX idx_onboarding_sessions_user ON onboarding_sessions (tenant_id, user_id)
-- dbschema: statement
CREATE TABLE projects (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID NOT NULL, 
	project_name TEXT NOT NULL, 
	status TEXT DEFAULT 'active' NOT NULL, 
	s3_uri TEXT, 
	metadata JSONB DEFAULT '{}'::jsonb NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_projects PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_projects_metadata CHECK (jsonb_typeof(metadata) = 'object'), 
	CONSTRAINT ck_projects_s3_uri CHECK (s3_uri ~ '^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$'), 
	CONSTRAINT ck_projects_status CHECK (status IN ('active', 'archived')), 
	CONSTRAINT fk_projects_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_projects_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE projects IS 'Projects of users; their files are in S3'
-- dbschema: statement
COMMENT ON COLUMN projects.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN projects.user_id IS 'Whose project it is'
-- dbschema: statement
COMMENT ON COLUMN projects.status IS 'Whether it is worked on'
-- dbschema: statement
COMMENT ON COLUMN projects.s3_uri IS 'Where its files are'
-- dbschema: statement
COMMENT ON COLUMN projects.metadata IS 'What else is known of it'
-- dbschema: statement
COMMENT ON COLUMN projects.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN projects.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_projects_user ON projects (tenant_id, user_id, created_at DESC)
-- dbschema: statement
CREATE TABLE teams (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	team_name TEXT NOT NULL, 
	description TEXT, 
	members JSONB DEFAULT '[]'::jsonb NOT NULL, 
	created_by UUID, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_teams PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_teams_members CHECK (jsonb_typeof(members) = 'array'), 
	CONSTRAINT fk_teams_tenant_id_created_by FOREIGN KEY(tenant_id, created_by) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_teams_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE teams IS 'Groups of users'
-- dbschema: statement
COMMENT ON COLUMN teams.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN teams.members IS 'Ids of the users in it'
-- dbschema: statement
COMMENT ON COLUMN teams.created_by IS 'The user who made it'
-- dbschema: statement
COMMENT ON COLUMN teams.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN teams.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_teams_created_by ON teams (tenant_id, created_by)
-- dbschema: statement
CREATE TABLE user_events (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID NOT NULL, 
	event_type TEXT NOT NULL, 
	properties JSONB DEFAULT '{}'::jsonb NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_user_events PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_user_events_properties CHECK (jsonb_typeof(properties) = 'object'), 
	CONSTRAINT fk_user_events_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_user_events_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE user_events IS 'What users did'
-- dbschema: statement
COMMENT ON COLUMN user_events.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN user_events.user_id IS 'Who did it'
-- dbschema: statement
COMMENT ON COLUMN user_events.event_type IS 'What was done, such as page.view'
-- dbschema: statement
COMMENT ON COLUMN user_events.properties IS 'What else is known of it'
-- dbschema: statement
COMMENT ON COLUMN user_events.occurred_at IS 'When it was done'
-- dbschema: statement
COMMENT ON COLUMN user_events.created_at IS 'When the row was made'
-- dbschema: statement
CREATE INDEX idx_user_events_type ON user_events (tenant_id, event_type, occurred_at DESC)
-- dbschema: statement
CREATE INDEX idx_user_events_user ON user_events (tenant_id, user_id, occurred_at DESC)
-- dbschema: statement
CREATE TABLE user_transactions (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	user_id UUID NOT NULL, 
	transaction_type TEXT NOT NULL, 
	status TEXT DEFAULT 'pending' NOT NULL, 
	amount NUMERIC(12, 2) NOT NULL, 
	currency TEXT DEFAULT 'USD' NOT NULL, 
	provider TEXT, 
	provider_reference TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_user_transactions PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_user_transactions_currency CHECK (currency ~ '^[A-Z]{3}$'), 
	CONSTRAINT ck_user_transactions_status CHECK (status IN ('pending', 'succeeded', 'failed', 'cancelled')), 
	CONSTRAINT ck_user_transactions_transaction_type CHECK (transaction_type IN ('payment', 'refund', 'credit', 'adjustment')), 
	CONSTRAINT fk_user_transactions_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id), 
	CONSTRAINT fk_user_transactions_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE, 
	CONSTRAINT uq_user_transactions_tenant_id_provider_provider_reference UNIQUE (tenant_id, provider, provider_reference)
)
-- dbschema: statement
COMMENT ON TABLE user_transactions IS 'Money that moves between users and the tenant'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.user_id IS 'Whose transaction it is'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.transaction_type IS 'What moves the money'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.status IS 'How far it is'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.amount IS 'In the row''s currency; negative: taken back'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.currency IS 'ISO 4217 code of the currency of the amounts in this row'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.provider IS 'Payment service, such as stripe'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.provider_reference IS 'The provider''s id; unique with the provider'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.created_at IS 'When the row was made'
-- dbschema: statement
COMMENT ON COLUMN user_transactions.updated_at IS 'When the row was last changed; kept by a trigger'
-- dbschema: statement
CREATE INDEX idx_user_transactions_user ON user_transactions (tenant_id, user_id, created_at DESC)
-- dbschema: statement
CREATE TABLE image_evidence (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	incident_id UUID NOT NULL, 
	s3_bucket TEXT NOT NULL, 
	s3_key TEXT NOT NULL, 
	content_type TEXT, 
	byte_size BIGINT, 
	checksum TEXT, 
	captured_at TIMESTAMP WITH TIME ZONE, 
	location geography(POINT,4326), 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_image_evidence PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_image_evidence_byte_size CHECK (byte_size >= 0), 
	CONSTRAINT fk_image_evidence_tenant_id_incident_id FOREIGN KEY(tenant_id, incident_id) REFERENCES incidents (tenant_id, id) ON DELETE CASCADE, 
	CONSTRAINT fk_image_evidence_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE image_evidence IS 'Pictures of incidents; the files are in S3'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.incident_id IS 'The incident it shows'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.s3_bucket IS 'Bucket that holds the file'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.s3_key IS 'Key of the file in its bucket'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.content_type IS 'Media type, such as image/jpeg'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.byte_size IS 'Size of the file in bytes'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.checksum IS 'Checksum of the file, with its algorithm: sha256:…'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.captured_at IS 'When the picture was taken'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.location IS 'Where the picture was taken, WGS 84'
-- dbschema: statement
COMMENT ON COLUMN image_evidence.created_at IS 'When the row was made'
-- dbschema: statement
CREATE INDEX idx_image_evidence_incident ON image_evidence (tenant_id, incident_id)
-- dbschema: statement
CREATE INDEX idx_image_evidence_tenant ON image_evidence (tenant_id, created_at DESC)
-- dbschema: statement
CREATE TABLE messages (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	conversation_id UUID NOT NULL, 
	role TEXT NOT NULL, 
	content TEXT NOT NULL, 
	metadata JSONB DEFAULT '{}'::jsonb NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_messages PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_messages_metadata CHECK (jsonb_typeof(metadata) = 'object'), 
	CONSTRAINT ck_messages_role CHECK (role IN ('user', 'assistant', 'system')), 
	CONSTRAINT fk_messages_tenant_id_conversation_id FOREIGN KEY(tenant_id, conversation_id) REFERENCES conversations (tenant_id, id) ON DELETE CASCADE
)
-- dbschema: statement
COMMENT ON TABLE messages IS 'Turns of conversations, read in the order of created_at and id'
-- dbschema: statement
COMMENT ON COLUMN messages.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN messages.conversation_id IS 'The conversation it belongs to'
-- dbschema: statement
COMMENT ON COLUMN messages.role IS 'Who says it'
-- dbschema: statement
COMMENT ON COLUMN messages.content IS 'What is said'
-- dbschema: statement
COMMENT ON COLUMN messages.metadata IS 'What else is known of it, such as token counts'
-- dbschema: statement
COMMENT ON COLUMN messages.created_at IS 'When the row was made'
-- dbschema: statement
CREATE INDEX idx_messages_conversation ON messages (tenant_id, conversation_id, created_at, id)
-- dbschema: statement
CREATE TABLE onboarding_events (
	tenant_id UUID NOT NULL, 
	id UUID DEFAULT gen_random_uuid() NOT NULL, 
	session_id UUID NOT NULL, 
	event_type TEXT NOT NULL, 
	source TEXT DEFAULT 'webhook' NOT NULL, 
	external_event_id TEXT, 
	payload JSONB DEFAULT '{}'::jsonb NOT NULL, 
	received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	processed_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_onboarding_events PRIMARY KEY (tenant_id, id), 
	CONSTRAINT ck_onboarding_events_payload CHECK (jsonb_typeof(payload) IN ('object', 'array')), 
	CONSTRAINT ck_onboarding_events_source CHECK (source IN ('webhook', 'api')), 
	CONSTRAINT fk_onboarding_events_tenant_id_session_id FOREIGN KEY(tenant_id, session_id) REFERENCES onboarding_sessions (tenant_id, id) ON DELETE CASCADE, 
	CONSTRAINT uq_onboarding_events_tenant_id_external_event_id UNIQUE (tenant_id, external_event_id)
)
-- dbschema: statement
COMMENT ON TABLE onboarding_events IS 'What happened in onboardings, as it was reported'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.tenant_id IS 'The tenant that the row belongs to'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.session_id IS 'The onboarding it belongs to'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.event_type IS 'What happened'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.source IS 'How it came in'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.external_event_id IS 'The sender''s id of it: a webhook that is delivered twice is stored once'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.payload IS 'The event as it was sent'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.received_at IS 'When it came in'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.processed_at IS 'When it was worked on; NULL: not yet'
-- dbschema: statement
COMMENT ON COLUMN onboarding_events.created_at IS 'When the row was made'
-- dbschema: statement
CREATE INDEX idx_onboarding_events_session ON onboarding_events (tenant_id, session_id, received_at)
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('search_documents(text, uuid, timestamp with time zone, uuid, integer)') AND proowner = to_regrole('dbschema_search')) THEN
        RETURN;
    END IF;
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    ALTER FUNCTION search_documents(text, uuid, timestamp with time zone, uuid, integer) OWNER TO CURRENT_USER;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not take the function search_documents(text, uuid, timestamp with time zone, uuid, integer) from dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
CREATE OR REPLACE FUNCTION search_documents(words text, of_user uuid DEFAULT NULL, after_created_at timestamp with time zone DEFAULT NULL, after_id uuid DEFAULT NULL, page_size integer DEFAULT 50)
 RETURNS SETOF documents
 LANGUAGE plpgsql
 STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 1000 ROWS 50
 SET jit TO off
 SET plan_cache_mode TO force_generic_plan
AS $$
DECLARE
    tenant CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
BEGIN
    RETURN QUERY SELECT item.* FROM documents item
    WHERE item.tenant_id = tenant AND to_tsvector('simple'::regconfig, ("left"(item.title, 1000) || ' '::text) || "left"(item.content, 100000)) @@ websearch_to_tsquery('simple'::regconfig, words)
        AND (of_user IS NULL OR item.user_id = of_user)
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))
    ORDER BY item.created_at DESC, item.id
    LIMIT least(greatest(page_size, 0), 1000);
END
$$
-- dbschema: statement
DO $$
BEGIN
    EXECUTE 'ALTER FUNCTION search_documents(text, uuid, timestamp with time zone, uuid, integer) SET search_path TO '
        || concat_ws(', ', 'pg_catalog', quote_ident(current_schema()), 'pg_temp');
END
$$
-- dbschema: statement
COMMENT ON FUNCTION search_documents(text, uuid, timestamp with time zone, uuid, integer) IS 'Documents of the tenant that have the words, as search engines take them, newest first'
-- dbschema: statement
REVOKE ALL ON FUNCTION search_documents(text, uuid, timestamp with time zone, uuid, integer) FROM PUBLIC
-- dbschema: statement
GRANT EXECUTE ON FUNCTION search_documents(text, uuid, timestamp with time zone, uuid, integer) TO dbschema_app
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
    place text := quote_ident(current_schema());
    room boolean := has_schema_privilege('dbschema_search', to_regnamespace(place)::oid, 'CREATE');
BEGIN
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    IF NOT room THEN
        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO dbschema_search';
    END IF;
    ALTER FUNCTION search_documents(text, uuid, timestamp with time zone, uuid, integer) OWNER TO dbschema_search;
    IF NOT room THEN
        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM dbschema_search';
    END IF;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not give the function search_documents(text, uuid, timestamp with time zone, uuid, integer) to dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer)') AND proowner = to_regrole('dbschema_search')) THEN
        RETURN;
    END IF;
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    ALTER FUNCTION search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) OWNER TO CURRENT_USER;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not take the function search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) from dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
CREATE OR REPLACE FUNCTION search_incidents_near(place geography, metres double precision, in_domain text DEFAULT NULL, with_status text DEFAULT NULL, created_from timestamp with time zone DEFAULT NULL, created_before timestamp with time zone DEFAULT NULL, after_distance double precision DEFAULT NULL, after_id uuid DEFAULT NULL, page_size integer DEFAULT 50)
 RETURNS SETOF incidents
 LANGUAGE plpgsql
 STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 1000 ROWS 50
 SET jit TO off
AS $$
DECLARE
    tenant CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
BEGIN
    RETURN QUERY SELECT item.* FROM (
    SELECT item.* FROM incidents item
    WHERE item.tenant_id = tenant AND ST_DWithin(item.location, place, metres, false)
        AND (in_domain IS NULL OR item.domain_id = in_domain)
        AND (with_status IS NULL OR item.status = with_status)
        AND (created_from IS NULL OR item.created_at >= created_from)
        AND (created_before IS NULL OR item.created_at < created_before)
        AND (after_distance IS NULL OR (item.location <-> place) > after_distance
             OR ((item.location <-> place) = after_distance AND item.id > after_id))
    ORDER BY item.location <-> place FETCH FIRST (least(greatest(page_size, 0), 1000)) ROWS WITH TIES
    ) item
    ORDER BY item.location <-> place, item.id
    LIMIT least(greatest(page_size, 0), 1000);
END
$$
-- dbschema: statement
DO $$
BEGIN
    EXECUTE 'ALTER FUNCTION search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) SET search_path TO '
        || concat_ws(', ', 'pg_catalog', quote_ident(current_schema()), (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY e.extname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname IN ('postgis')), 'pg_temp');
END
$$
-- dbschema: statement
COMMENT ON FUNCTION search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) IS 'Incidents of the tenant within so many metres of a place, nearest first'
-- dbschema: statement
REVOKE ALL ON FUNCTION search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) FROM PUBLIC
-- dbschema: statement
GRANT EXECUTE ON FUNCTION search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) TO dbschema_app
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
    place text := quote_ident(current_schema());
    room boolean := has_schema_privilege('dbschema_search', to_regnamespace(place)::oid, 'CREATE');
BEGIN
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    IF NOT room THEN
        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO dbschema_search';
    END IF;
    ALTER FUNCTION search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) OWNER TO dbschema_search;
    IF NOT room THEN
        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM dbschema_search';
    END IF;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not give the function search_incidents_near(geography, double precision, text, text, timestamp with time zone, timestamp with time zone, double precision, uuid, integer) to dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer)') AND proowner = to_regrole('dbschema_search')) THEN
        RETURN;
    END IF;
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    ALTER FUNCTION search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) OWNER TO CURRENT_USER;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not take the function search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) from dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
CREATE OR REPLACE FUNCTION search_incidents_in_box(west double precision, south double precision, east double precision, north double precision, in_domain text DEFAULT NULL, with_status text DEFAULT NULL, created_from timestamp with time zone DEFAULT NULL, created_before timestamp with time zone DEFAULT NULL, after_created_at timestamp with time zone DEFAULT NULL, after_id uuid DEFAULT NULL, page_size integer DEFAULT 50)
 RETURNS SETOF incidents
 LANGUAGE plpgsql
 STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 1000 ROWS 50
 SET jit TO off
 SET plan_cache_mode TO force_custom_plan
AS $$
DECLARE
    tenant CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    equator CONSTANT double precision := CASE WHEN 0 BETWEEN south AND north THEN 0 END;
    quarter_1 CONSTANT double precision := CASE WHEN west <= -180 AND -180 <= east OR west > east AND (west <= -180 OR -180 <= east) THEN -180 END;
    quarter_2 CONSTANT double precision := CASE WHEN west <= -90 AND -90 <= east OR west > east AND (west <= -90 OR -90 <= east) THEN -90 END;
    quarter_3 CONSTANT double precision := CASE WHEN west <= 0 AND 0 <= east OR west > east AND (west <= 0 OR 0 <= east) THEN 0 END;
    quarter_4 CONSTANT double precision := CASE WHEN west <= 90 AND 90 <= east OR west > east AND (west <= 90 OR 90 <= east) THEN 90 END;
    quarter_5 CONSTANT double precision := CASE WHEN west <= 180 AND 180 <= east OR west > east AND (west <= 180 OR 180 <= east) THEN 180 END;
    covering CONSTANT geography := ST_SetSRID(ST_Collect(ARRAY[
        ST_MakePoint(west, south), ST_MakePoint(east, south), ST_MakePoint(quarter_1, south), ST_MakePoint(quarter_2, south), ST_MakePoint(quarter_3, south), ST_MakePoint(quarter_4, south), ST_MakePoint(quarter_5, south),
        ST_MakePoint(west, north), ST_MakePoint(east, north), ST_MakePoint(quarter_1, north), ST_MakePoint(quarter_2, north), ST_MakePoint(quarter_3, north), ST_MakePoint(quarter_4, north), ST_MakePoint(quarter_5, north),
        ST_MakePoint(west, equator), ST_MakePoint(east, equator), ST_MakePoint(quarter_1, equator), ST_MakePoint(quarter_2, equator), ST_MakePoint(quarter_3, equator), ST_MakePoint(quarter_4, equator), ST_MakePoint(quarter_5, equator)]), 4326)::geography;
BEGIN
    RETURN QUERY SELECT item.* FROM incidents item
    WHERE item.tenant_id = tenant AND item.location && covering
        AND CASE WHEN ST_Y(item.location::geometry) NOT BETWEEN south AND north THEN false
            WHEN west <= east THEN ST_X(item.location::geometry) BETWEEN west AND east
            ELSE ST_X(item.location::geometry) >= west OR ST_X(item.location::geometry) <= east END
        AND (in_domain IS NULL OR item.domain_id = in_domain)
        AND (with_status IS NULL OR item.status = with_status)
        AND (created_from IS NULL OR item.created_at >= created_from)
        AND (created_before IS NULL OR item.created_at < created_before)
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))
    ORDER BY item.created_at DESC, item.id
    LIMIT least(greatest(page_size, 0), 1000);
END
$$
-- dbschema: statement
DO $$
BEGIN
    EXECUTE 'ALTER FUNCTION search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) SET search_path TO '
        || concat_ws(', ', 'pg_catalog', quote_ident(current_schema()), (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY e.extname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname IN ('postgis')), 'pg_temp');
END
$$
-- dbschema: statement
COMMENT ON FUNCTION search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) IS 'Incidents of the tenant between two longitudes and two latitudes, newest first; west > east: over 180 degrees'
-- dbschema: statement
REVOKE ALL ON FUNCTION search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) FROM PUBLIC
-- dbschema: statement
GRANT EXECUTE ON FUNCTION search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) TO dbschema_app
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
    place text := quote_ident(current_schema());
    room boolean := has_schema_privilege('dbschema_search', to_regnamespace(place)::oid, 'CREATE');
BEGIN
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    IF NOT room THEN
        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO dbschema_search';
    END IF;
    ALTER FUNCTION search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) OWNER TO dbschema_search;
    IF NOT room THEN
        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM dbschema_search';
    END IF;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not give the function search_incidents_in_box(double precision, double precision, double precision, double precision, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) to dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer)') AND proowner = to_regrole('dbschema_search')) THEN
        RETURN;
    END IF;
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    ALTER FUNCTION search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) OWNER TO CURRENT_USER;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not take the function search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) from dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
CREATE OR REPLACE FUNCTION search_incidents_in_area(area geography, in_domain text DEFAULT NULL, with_status text DEFAULT NULL, created_from timestamp with time zone DEFAULT NULL, created_before timestamp with time zone DEFAULT NULL, after_created_at timestamp with time zone DEFAULT NULL, after_id uuid DEFAULT NULL, page_size integer DEFAULT 50)
 RETURNS SETOF incidents
 LANGUAGE plpgsql
 STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 1000 ROWS 50
 SET jit TO off
 SET plan_cache_mode TO force_custom_plan
AS $$
DECLARE
    tenant CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
BEGIN
    IF ST_NPoints(area::geometry) > 10000 THEN
        RAISE program_limit_exceeded USING MESSAGE = 'search_incidents_in_area: ST_NPoints(area::geometry) > 10000';
    END IF;
    RETURN QUERY SELECT item.* FROM incidents item
    WHERE item.tenant_id = tenant AND ST_Covers(area, item.location)
        AND (in_domain IS NULL OR item.domain_id = in_domain)
        AND (with_status IS NULL OR item.status = with_status)
        AND (created_from IS NULL OR item.created_at >= created_from)
        AND (created_before IS NULL OR item.created_at < created_before)
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))
    ORDER BY item.created_at DESC, item.id
    LIMIT least(greatest(page_size, 0), 1000);
END
$$
-- dbschema: statement
DO $$
BEGIN
    EXECUTE 'ALTER FUNCTION search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) SET search_path TO '
        || concat_ws(', ', 'pg_catalog', quote_ident(current_schema()), (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY e.extname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname IN ('postgis')), 'pg_temp');
END
$$
-- dbschema: statement
COMMENT ON FUNCTION search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) IS 'Incidents of the tenant in a polygon or several, newest first'
-- dbschema: statement
REVOKE ALL ON FUNCTION search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) FROM PUBLIC
-- dbschema: statement
GRANT EXECUTE ON FUNCTION search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) TO dbschema_app
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
    place text := quote_ident(current_schema());
    room boolean := has_schema_privilege('dbschema_search', to_regnamespace(place)::oid, 'CREATE');
BEGIN
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    IF NOT room THEN
        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO dbschema_search';
    END IF;
    ALTER FUNCTION search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) OWNER TO dbschema_search;
    IF NOT room THEN
        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM dbschema_search';
    END IF;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not give the function search_incidents_in_area(geography, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) to dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid = to_regprocedure('search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer)') AND proowner = to_regrole('dbschema_search')) THEN
        RETURN;
    END IF;
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    ALTER FUNCTION search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) OWNER TO CURRENT_USER;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not take the function search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) from dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
CREATE OR REPLACE FUNCTION search_incidents_by_data(contained jsonb, in_domain text DEFAULT NULL, with_status text DEFAULT NULL, created_from timestamp with time zone DEFAULT NULL, created_before timestamp with time zone DEFAULT NULL, after_created_at timestamp with time zone DEFAULT NULL, after_id uuid DEFAULT NULL, page_size integer DEFAULT 50)
 RETURNS SETOF incidents
 LANGUAGE plpgsql
 STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 1000 ROWS 50
 SET jit TO off
AS $$
DECLARE
    tenant CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
BEGIN
    RETURN QUERY SELECT item.* FROM incidents item
    WHERE item.tenant_id = tenant AND item.structured_data @> contained
        AND (in_domain IS NULL OR item.domain_id = in_domain)
        AND (with_status IS NULL OR item.status = with_status)
        AND (created_from IS NULL OR item.created_at >= created_from)
        AND (created_before IS NULL OR item.created_at < created_before)
        AND (after_created_at IS NULL OR (item.created_at <= after_created_at
             AND (item.created_at < after_created_at OR item.id > after_id)))
    ORDER BY item.created_at DESC, item.id
    LIMIT least(greatest(page_size, 0), 1000);
END
$$
-- dbschema: statement
DO $$
BEGIN
    EXECUTE 'ALTER FUNCTION search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) SET search_path TO '
        || concat_ws(', ', 'pg_catalog', quote_ident(current_schema()), 'pg_temp');
END
$$
-- dbschema: statement
COMMENT ON FUNCTION search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) IS 'Incidents of the tenant whose structured data contain others, newest first'
-- dbschema: statement
REVOKE ALL ON FUNCTION search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) FROM PUBLIC
-- dbschema: statement
GRANT EXECUTE ON FUNCTION search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) TO dbschema_app
-- dbschema: statement
DO $$
DECLARE
    member boolean := pg_has_role('dbschema_search', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END);
    place text := quote_ident(current_schema());
    room boolean := has_schema_privilege('dbschema_search', to_regnamespace(place)::oid, 'CREATE');
BEGIN
    IF NOT member THEN
        GRANT dbschema_search TO CURRENT_USER;
    END IF;
    IF NOT room THEN
        EXECUTE 'GRANT CREATE ON SCHEMA ' || place || ' TO dbschema_search';
    END IF;
    ALTER FUNCTION search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) OWNER TO dbschema_search;
    IF NOT room THEN
        EXECUTE 'REVOKE CREATE ON SCHEMA ' || place || ' FROM dbschema_search';
    END IF;
    IF NOT member THEN
        REVOKE dbschema_search FROM CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = replace('{} may not give the function search_incidents_by_data(jsonb, text, text, timestamp with time zone, timestamp with time zone, timestamp with time zone, uuid, integer) to dbschema_search', '{}', current_user),
            DETAIL = SQLERRM,
            HINT = format('Have an administrator run: GRANT dbschema_search TO %I', current_user);
END
$$
-- dbschema: statement
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE tenants FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE users ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE users FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE teams ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE teams FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE user_events ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE user_events FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE user_transactions ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE user_transactions FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE projects ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE projects FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE agent_definitions ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE agent_definitions FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE domain_configurations ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE domain_configurations FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE orders ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE orders FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE fulfillment ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE fulfillment FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE marketing_campaigns ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE marketing_campaigns FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE documents ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE documents FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE conversations FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE messages ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE messages FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE role_metric_visibility ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE role_metric_visibility FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE governance_rules ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE governance_rules FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE audit_logs FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE incidents ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE incidents FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE image_evidence ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE image_evidence FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE onboarding_sessions ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE onboarding_sessions FORCE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE onboarding_events ENABLE ROW LEVEL SECURITY
-- dbschema: statement
ALTER TABLE onboarding_events FORCE ROW LEVEL SECURITY
-- dbschema: statement
CREATE POLICY tenant_isolation ON tenants USING (id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON tenants TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON users USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON users TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON teams USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON teams TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON user_events USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON user_events TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON user_transactions USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON user_transactions TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON projects USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON projects TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON agent_definitions USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON agent_definitions TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON domain_configurations USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON domain_configurations TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON orders USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON orders TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON fulfillment USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON fulfillment TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON marketing_campaigns USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON marketing_campaigns TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON documents USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON documents TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON conversations USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON conversations TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON messages USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON messages TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY search_functions ON documents FOR SELECT TO dbschema_search USING (true)
-- dbschema: statement
COMMENT ON POLICY search_functions ON documents IS 'Search functions see all rows, and state the tenant themselves'
-- dbschema: statement
CREATE POLICY tenant_isolation ON role_metric_visibility USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON role_metric_visibility TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON governance_rules USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON governance_rules TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON audit_logs USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON audit_logs TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON incidents USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON incidents TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON image_evidence USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON image_evidence TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY search_functions ON incidents FOR SELECT TO dbschema_search USING (true)
-- dbschema: statement
COMMENT ON POLICY search_functions ON incidents IS 'Search functions see all rows, and state the tenant themselves'
-- dbschema: statement
CREATE POLICY tenant_isolation ON onboarding_sessions USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON onboarding_sessions TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE POLICY tenant_isolation ON onboarding_events USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
-- dbschema: statement
CREATE POLICY operator_access ON onboarding_events TO dbschema_operator USING (true) WITH CHECK (true)
-- dbschema: statement
CREATE TRIGGER update_tenants_updated_at BEFORE UPDATE ON tenants FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_teams_updated_at BEFORE UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_user_transactions_updated_at BEFORE UPDATE ON user_transactions FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_projects_updated_at BEFORE UPDATE ON projects FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER raise_agent_definitions_version BEFORE UPDATE ON agent_definitions FOR EACH ROW EXECUTE FUNCTION raise_version_column()
-- dbschema: statement
CREATE TRIGGER update_agent_definitions_updated_at BEFORE UPDATE ON agent_definitions FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_domain_configurations_updated_at BEFORE UPDATE ON domain_configurations FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_orders_updated_at BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_fulfillment_updated_at BEFORE UPDATE ON fulfillment FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_marketing_campaigns_updated_at BEFORE UPDATE ON marketing_campaigns FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_conversations_updated_at BEFORE UPDATE ON conversations FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_role_metric_visibility_updated_at BEFORE UPDATE ON role_metric_visibility FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_governance_rules_updated_at BEFORE UPDATE ON governance_rules FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER refuse_audit_logs_change BEFORE UPDATE OR DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse_change()
-- dbschema: statement
CREATE TRIGGER refuse_audit_logs_truncate BEFORE TRUNCATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- dbschema: statement
CREATE TRIGGER update_incidents_updated_at BEFORE UPDATE ON incidents FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
CREATE TRIGGER update_onboarding_sessions_updated_at BEFORE UPDATE ON onboarding_sessions FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()
-- dbschema: statement
GRANT USAGE ON SCHEMA public TO dbschema_app
-- dbschema: statement
GRANT USAGE ON SCHEMA public TO dbschema_readonly
-- dbschema: statement
GRANT USAGE ON SCHEMA public TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE tenants TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE tenants TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE tenants TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE users TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE users TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE users TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE teams TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE teams TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE teams TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE user_events TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE user_events TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE user_events TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE user_transactions TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE user_transactions TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE user_transactions TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE projects TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE projects TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE projects TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE agent_definitions TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE agent_definitions TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE agent_definitions TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE domain_configurations TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE domain_configurations TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE domain_configurations TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE orders TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE orders TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE orders TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE fulfillment TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE fulfillment TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE fulfillment TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE marketing_campaigns TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE marketing_campaigns TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE marketing_campaigns TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE documents TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE documents TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE documents TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE conversations TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE conversations TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE conversations TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE messages TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE messages TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE messages TO dbschema_operator
-- dbschema: statement
GRANT USAGE ON SCHEMA public TO dbschema_search
-- dbschema: statement
GRANT SELECT ON TABLE documents TO dbschema_search
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE role_metric_visibility TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE role_metric_visibility TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE role_metric_visibility TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE governance_rules TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE governance_rules TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE governance_rules TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT ON TABLE audit_logs TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE audit_logs TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT ON TABLE audit_logs TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE incidents TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE incidents TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE incidents TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE image_evidence TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE image_evidence TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE image_evidence TO dbschema_operator
-- dbschema: statement
GRANT SELECT ON TABLE incidents TO dbschema_search
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE onboarding_sessions TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE onboarding_sessions TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE onboarding_sessions TO dbschema_operator
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE onboarding_events TO dbschema_app
-- dbschema: statement
GRANT SELECT ON TABLE onboarding_events TO dbschema_readonly
-- dbschema: statement
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE onboarding_events TO dbschema_operator
