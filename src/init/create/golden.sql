CREATE SCHEMA "shop";
CREATE TYPE "shop"."mood" AS ENUM ('it''s', 'so');

-- b: constraint late DROP is left out: it is NOT VALID on the desktop, so rows there may break it, and the cloud would refuse them
CREATE TABLE "public"."b" (
    "id" integer GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "public"."b_id_seq") NOT NULL,
    "source" text DEFAULT 'M',
    CONSTRAINT "b_pkey" PRIMARY KEY (id)
);
ALTER TABLE "public"."b" ENABLE ROW LEVEL SECURITY;

-- shop.a: partitioned on the desktop, one plain table here: rows of partitions that the desktop adds later arrive without a step in the cloud
-- shop.a: column mood has no default: the cloud has no function public.slug; make it there first, then this again; rows of the desktop bring their values
CREATE SEQUENCE "shop"."a_id_seq" AS integer START WITH 5;
CREATE TABLE "shop"."a" (
    "id" integer DEFAULT nextval('shop.a_id_seq'::regclass) NOT NULL,
    "mood" shop.mood[],
    "mail" "extensions"."citext",
    CONSTRAINT "a_pkey" PRIMARY KEY (id)
);
ALTER TABLE "shop"."a" ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE "shop"."a" IS 'it''s
one';
CREATE INDEX "I" ON shop.a USING btree (mail "extensions"."citext_ops");

ALTER TABLE "public"."b" ADD CONSTRAINT "to_a" FOREIGN KEY (id) REFERENCES shop.a(id);

ALTER TABLE "shop"."a" ADD CONSTRAINT "to_b" FOREIGN KEY (id) REFERENCES public.b(id);

ALTER SEQUENCE "shop"."a_id_seq" OWNED BY "shop"."a"."id";

COMMIT;
