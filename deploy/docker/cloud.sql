-- The cloud: the same tables, empty; `source` says whose a row is.
create table customer (id int primary key, name text not null, town text, source char(1));
create table visit (id int primary key, customer_id int, note text, done boolean not null default false, source char(1));
