int crumbs, scrumb, crumbl;
